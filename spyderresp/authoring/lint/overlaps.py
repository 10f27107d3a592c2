"""Rules about several entries or selectors of one policy. Their findings are exact: see ``authoring/analysis``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from spyderresp.authoring.analysis import Analysis, conflicting_pairs
from spyderresp.authoring.analysis.automata import UndecidedError
from spyderresp.authoring.analysis.regions import EntryRegions, EventRegion, entries_of, of_selectors
from spyderresp.authoring.lint.subject import Remark, Subject
from spyderresp.errors import Location
from spyderresp.policies.diagnostics import quoted
from spyderresp.policies.policy_set import Clause, Entry, PolicySet, Selector
from spyderresp.policies.vocabulary import TARGET_SCOPE

_CODES: Final = {
    "never-in-scope": "SR807",
    "never-fires": "SR806",
    "attributed-only": "SR807",
    "covered": "SR809",
    "always-superseded": "SR809",
}
_HELP: Final = {
    "SR806": "delete one of the two: while both are there, the action is never carried out",
    "SR807": "delete one of the two: while both are there, the policy decides only events that name it",
    "SR809": "delete it, or select other events with it",
}


def useless_entries(subject: Subject) -> Iterator[Remark]:
    """Entries of one policy that never fire, are redundant, contradict each other or are duplicates."""
    policy = subject.policy
    if not policy.enabled:
        return
    enabled = [entry for entry in policy.entries if entry.enabled]
    duplicates = dict(_duplicates(enabled))
    if not any(_may_be_empty((*policy.selectors, *entry.selectors)) for entry in enabled) and not _may_overlap(enabled):
        return
    reported: set[tuple[str, Location]] = set()
    for answer in Analysis(PolicySet((policy,))).useless():
        code = _CODES.get(answer.kind)
        location = answer.location
        if code is None or (code == "SR809" and location in duplicates) or (code, location) in reported:
            continue
        # SR807 is true for every entry of the policy; report it once.
        first = code != "SR807" or not any(other == "SR807" for other, _ in reported)
        reported.add((code, location))
        if not first:
            continue
        if code == "SR807":
            reason = "no event is in the policy's scope, except events that name the policy and lack what it selects by"
            location, message = _contradiction(subject, None, location, reason)
        elif code == "SR806":
            entry = next(item for item in enabled if item.location == location)
            location, message = _contradiction(subject, entry, location, answer.message)
        else:
            message = f"{quoted(answer.subject)}: {answer.message}".replace(f"{policy.name}: ", "")
        yield subject.remark(code, message, location, help=_HELP[code])
    yield from _conflicts(subject)
    for location, first_entry in duplicates.items():
        message = f"the same action with the same selectors is in {first_entry.section}[{first_entry.index}] already"
        yield subject.remark("SR810", message, location, help="delete one of the two")


def _conflicts(subject: Subject) -> Iterator[Remark]:
    """Yield the renices that have no effect, because the process is killed too or reniced to a higher value."""
    # If these questions take too long, `analyze` reports that it has not decided them.
    with contextlib.suppress(UndecidedError):
        for entry, other in conflicting_pairs(tuple(entries_of(PolicySet((subject.policy,))))):
            with contextlib.suppress(UndecidedError):
                yield from _conflict(subject, entry, other)


def _conflict(subject: Subject, entry: EntryRegions, other: EntryRegions) -> Iterator[Remark]:
    if (entry.region & other.region).empty:
        return
    loser, winner = (entry, other) if _loses(entry, other) else (other, entry)
    always = loser.region.within([winner.region]) is None
    both = f"{quoted(loser.label)} and {quoted(winner.label)}"
    hint = "keep one of the two, or select different processes"
    if loser.action == winner.action:
        if always:
            reason = "the higher nice value wins, and the other has no effect"
            message = f"{both} set two priorities for the same process: {reason}"
            yield subject.remark("SR811", message, loser.location, help=hint)
    elif always:
        message = f"{both}: every process that is reniced is also killed"
        yield subject.remark("SR811", message, other.location, help=hint)
    else:
        message = f"{both} can fire for the same process: it is reniced, then killed"
        yield subject.remark("SR816", message, other.location)


def _loses(entry: EntryRegions, other: EntryRegions) -> bool:
    """Return whether the first of two entries has no effect if both fire: the lower nice value, or any renice."""
    if entry.action == other.action:
        mine, theirs = (int(dict(item.entry.parameters)["priority"]) for item in (entry, other))
        return mine < theirs
    return entry.action == "agentReniceProcess"


def _may_be_empty(selectors: tuple[Selector, ...]) -> bool:
    """Return whether selectors may match no event: two clauses have the same key, or a glob has a bracket."""
    keys = [(selector.scope, clause.key) for selector in selectors for clause in selector.clauses]
    return len(set(keys)) < len(keys) or any(
        "[" in value for selector in selectors for clause in selector.clauses for value in clause.values
    )


def _may_overlap(entries: list[Entry]) -> bool:
    """Return whether two entries plan the same action, or both act on processes."""
    actions = [
        "process" if TARGET_SCOPE.get(entry.action) == "process" else (entry.action, entry.parameters)
        for entry in entries
    ]
    return len(set(actions)) < len(actions)


def _duplicates(entries: list[Entry]) -> Iterator[tuple[Location, Entry]]:
    """Yield the location of each entry that is equal to an earlier one, and the earlier one."""
    seen: dict[Any, Entry] = {}
    for entry in entries:
        content = (
            entry.action,
            entry.parameters,
            frozenset(
                (selector.scope, clause.key, clause.operator, frozenset(clause.values))
                for selector in entry.selectors
                for clause in selector.clauses
            ),
        )
        first = seen.setdefault(content, entry)
        if first is not entry:
            yield entry.location, first


def _contradiction(subject: Subject, entry: Entry | None, location: Location, reason: str) -> tuple[Location, str]:
    """Return the first clause after which no event is left, and the message about it.

    Args:
        subject: the policy.
        entry: an entry whose clauses count too; None: only those of the policy.
        location: the location to return if no clause is found.
        reason: the end of the message, and the whole message if no clause is found.
    """
    selectors = (*subject.policy.selectors, *(entry.selectors if entry is not None else ()))
    clauses = [(selector, clause) for selector in selectors for clause in selector.clauses]
    region = EventRegion()
    before: list[tuple[Selector, Clause]] = []
    with contextlib.suppress(UndecidedError):
        for selector, clause in clauses:
            region &= _region(selector, clause)
            if region.empty:
                other = next(
                    (item for scope, item in before if (_region(scope, item) & _region(selector, clause)).empty), None
                )
                key = f"{quoted(clause.key)} of {quoted(selector.key)}"
                if other is None:
                    return clause.location, f"no event is left after this clause on {key}: {reason}"
                where = f"{other.location.line}:{other.location.column}"
                return clause.location, f"this clause on {key} contradicts the one in line {where}: {reason}"
            before.append((selector, clause))
    return location, reason


def _region(selector: Selector, clause: Clause) -> EventRegion:
    """Return the events that one clause matches."""
    return of_selectors((Selector(selector.scope, (clause,), selector.location),), not_in_takes_absent=True)


def pods_and_services(subject: Subject) -> Iterator[Remark]:
    """Selectors of a pod or namespace together with those of a service: no process runs in both."""
    policy = subject.policy
    if not policy.enabled:
        return
    of_policy = {selector.scope: selector for selector in policy.selectors}
    if "service" in of_policy and ("pod" in of_policy or "namespace" in of_policy):
        other = of_policy.get("pod") or of_policy["namespace"]
        yield _nothing(subject, of_policy["service"], other)
        return
    for entry in policy.entries:
        if not entry.enabled:
            continue
        own = {selector.scope: selector for selector in entry.selectors}
        for scope in ("pod", "namespace"):
            service, inside = own.get("service"), own.get(scope)
            both = (service or of_policy.get("service")) and (inside or of_policy.get(scope))
            if both and (service or inside):
                last = max((item for item in (service, inside) if item), key=lambda item: item.location[1:])
                other = (inside if last is service else service) or of_policy[scope if last is service else "service"]
                yield _nothing(subject, last, other)
                break


def _nothing(subject: Subject, selector: Selector, other: Selector) -> Remark:
    message = (
        f"{quoted(selector.key)} together with {quoted(other.key)} (line {other.location.line}) selects nothing: "
        "a process of a pod is in no service of the host"
    )
    return subject.remark("SR808", message, selector.location, help="keep one of the two")
