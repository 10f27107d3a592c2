"""Entries held against each other and against their policy's scope. What is said here is exact: see ``analysis``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from spyderresp.authoring.analysis import Analysis, at_odds
from spyderresp.authoring.analysis.automata import UndecidedError
from spyderresp.authoring.analysis.regions import EntryLocation, EventRegion, of_selectors, places
from spyderresp.authoring.lint.subject import Remark, Subject
from spyderresp.errors import Location
from spyderresp.policies.diagnostics import quoted
from spyderresp.policies.policy_set import Clause, Entry, PolicySet, Selector
from spyderresp.policies.vocabulary import TARGET_SCOPE

_KINDS = {
    "never-in-scope": "SR807",
    "never-fires": "SR806",
    "attributed-only": "SR807",
    "covered": "SR809",
    "always-superseded": "SR809",
}
_HELP = {
    "SR806": "take one of the two away: while both stand it is never carried out",
    "SR807": "take one of the two away: while both stand it decides no event that does not name the policy",
    "SR809": "take it away, or make it say what the other does not",
}


def certain(subject: Subject) -> Iterator[Remark]:
    """What is certain of one policy by itself: never, needless, contradictory, twice."""
    policy = subject.policy
    if not policy.enabled:
        return
    enabled = [entry for entry in policy.entries if entry.enabled]
    twice = dict(_twice(enabled))
    if not any(_may_clash((*policy.selectors, *entry.selectors)) for entry in enabled) and not _may_overlap(enabled):
        return
    said: set[tuple[str, Location]] = set()
    for answer in Analysis(PolicySet((policy,))).idle():
        code = _KINDS.get(answer.kind)
        location = answer.location
        if code is None or (code == "SR809" and location in twice) or (code, location) in said:
            continue
        said.add((code, location))
        message = answer.message
        if code in ("SR806", "SR807"):
            if code == "SR807":
                message = (
                    "no event is in the policy's scope, but those that name the policy and lack what it selects by"
                )
            # It is said of every entry; once is enough.
            entry = None if code == "SR807" else next(item for item in enabled if item.location == location)
            if code == "SR807" and any(other == "SR807" for other, _ in said - {(code, location)}):
                continue
            location, message = _clash(subject, entry, location, message)
        else:
            message = f"{quoted(answer.subject)}: {message}".replace(f"{policy.name}: ", "")
        yield subject.say(code, message, location, help=_HELP[code])
    yield from _of_one_process(subject)
    for location, first in twice.items():
        message = f"the same action with the same selectors stands at {first.section}[{first.index}] already"
        yield subject.say("SR810", message, location, help="take one of the two away")


def _of_one_process(subject: Subject) -> Iterator[Remark]:
    """Say where a renice is lost on a process that is killed, or that is given a higher nice value, too."""
    # Beyond their budgets these questions are left to `analyze`, which says that it has not decided them.
    with contextlib.suppress(UndecidedError):
        for place, other in at_odds(tuple(places(PolicySet((subject.policy,))))):
            with contextlib.suppress(UndecidedError):
                yield from _at_odds(subject, place, other)


def _at_odds(subject: Subject, place: EntryLocation, other: EntryLocation) -> Iterator[Remark]:
    if (place.box & other.box).empty:
        return
    loser, winner = (place, other) if _loses(place, other) else (other, place)
    always = loser.box.within([winner.box]) is None
    what = f"{quoted(_said(loser))} and {quoted(_said(winner))}"
    hint = "keep one of the two, or select different processes"
    if loser.entry.action == winner.entry.action:
        if always:
            why = "the higher nice value stays, and the other counts for nothing"
            message = f"{what} ask for two priorities of the same process: {why}"
            yield subject.say("SR811", message, loser.location, help=hint)
    elif always:
        message = f"{what}: every process that is reniced is killed, too"
        yield subject.say("SR811", message, other.location, help=hint)
    else:
        yield subject.say("SR816", f"{what} can meet in one process: it is reniced, then killed", other.location)


def _said(place: EntryLocation) -> str:
    return f"{place.entry.section}[{place.entry.index}] {place.entry.action}"


def _loses(place: EntryLocation, other: EntryLocation) -> bool:
    """Tell whether it is the first of the two that counts for nothing where both fire: the lower nice value, or any."""
    if place.entry.action == other.entry.action:
        return int(dict(place.entry.parameters)["priority"]) < int(dict(other.entry.parameters)["priority"])
    return place.entry.action == "agentReniceProcess"


def _may_clash(selectors: tuple[Selector, ...]) -> bool:
    """Tell whether nothing could be left of these: two clauses speak of one key, or a set in a glob may be empty."""
    keys = [(selector.scope, clause.key) for selector in selectors for clause in selector.clauses]
    return len(set(keys)) < len(keys) or any(
        "[" in value for selector in selectors for clause in selector.clauses for value in clause.values
    )


def _may_overlap(entries: list[Entry]) -> bool:
    """Tell whether two entries ask for the same, or both for something that is done to a process."""
    asked = [
        "process" if TARGET_SCOPE.get(entry.action) == "process" else (entry.action, entry.parameters)
        for entry in entries
    ]
    return len(set(asked)) < len(asked)


def _twice(entries: list[Entry]) -> Iterator[tuple[Location, Entry]]:
    seen: dict[Any, Entry] = {}
    for entry in entries:
        meaning = (
            entry.action,
            entry.parameters,
            frozenset(
                (selector.scope, clause.key, clause.operator, frozenset(clause.values))
                for selector in entry.selectors
                for clause in selector.clauses
            ),
        )
        first = seen.setdefault(meaning, entry)
        if first is not entry:
            yield entry.location, first


def _clash(subject: Subject, entry: Entry | None, location: Location, message: str) -> tuple[Location, str]:
    """Return the first clause with which nothing is left, and which it contradicts."""
    held = [(selector, clause) for selector in subject.policy.selectors for clause in selector.clauses]
    own = [] if entry is None else [(selector, clause) for selector in entry.selectors for clause in selector.clauses]
    box = EventRegion()
    before: list[tuple[Selector, Clause]] = []
    try:
        for selector, clause in (*held, *own):
            box &= _box(selector, clause)
            if box.empty:
                other = next(
                    (earlier for scope, earlier in before if (_box(scope, earlier) & _box(selector, clause)).empty),
                    None,
                )
                what = f"{quoted(clause.key)} of {quoted(selector.key)}"
                if other is None:
                    return clause.location, f"nothing is left with this clause on {what}: {message}"
                where = f"{other.location.line}:{other.location.column}"
                return clause.location, f"{what} contradicts what line {where} says of it: {message}"
            before.append((selector, clause))
    except UndecidedError:
        pass
    return location, message


def _box(selector: Selector, clause: Clause) -> EventRegion:
    alone = Selector(selector.scope, (clause,), selector.location)
    return of_selectors((alone,), not_in_takes_absent=True)


def pods_and_services(subject: Subject) -> Iterator[Remark]:
    """A process of a pod is in no service of the host, and the other way round."""
    policy = subject.policy
    if not policy.enabled:
        return
    scoping = {selector.scope: selector for selector in policy.selectors}
    if "service" in scoping and ("pod" in scoping or "namespace" in scoping):
        other = scoping.get("pod") or scoping["namespace"]
        yield _apart(subject, scoping["service"], other)
        return
    for entry in policy.entries:
        if not entry.enabled:
            continue
        own = {selector.scope: selector for selector in entry.selectors}
        for scope in ("pod", "namespace"):
            service, inside = own.get("service"), own.get(scope)
            if (service or scoping.get("service")) and (inside or scoping.get(scope)) and (service or inside):
                last = max((item for item in (service, inside) if item), key=lambda item: item.location[1:])
                other = (inside if last is service else service) or scoping[scope if last is service else "service"]
                yield _apart(subject, last, other)
                break


def _apart(subject: Subject, selector: Selector, other: Selector) -> Remark:
    message = (
        f"{quoted(selector.key)} together with {quoted(other.key)} (line {other.location.line}) selects nothing: "
        "what runs in a pod is in no service of the host"
    )
    return subject.say("SR808", message, selector.location, help="keep one of the two")
