"""How two policies, or two entries, stand to each other: equivalent, implied, disjoint, overlapping.

An entry is held against another by the events for which it fires; a policy by what it asks for, entry by entry: an
action with its parameters, in force or in audit. About events that name no policy, like other answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from spyderresp.analysis.answers import Answer, Kind
from spyderresp.analysis.boxes import Box
from spyderresp.analysis.entries import Place, places
from spyderresp.analysis.patterns import NotDecidedError
from spyderresp.findings import quoted, suggestion
from spyderresp.policy import PolicySet

_ENTRY: Final = re.compile(r"(?P<policy>.*): (?P<section>default|actions)\[(?P<index>\d+)\](?: \w+)?", re.DOTALL)
_HELD: Final[dict[tuple[bool, bool], Kind]] = {
    (True, True): "equivalent",
    (True, False): "implied",
    (False, True): "implies",
    (False, False): "overlapping",
}


def relation(policies: PolicySet, first: str, second: str, *, not_in_takes_absent: bool = True) -> Answer:
    """Return how two of a set stand to each other.

    Args:
        policies: the set.
        first: a policy's name; or an entry, such as ``web-containers: actions[0]``.
        second: another one.
        not_in_takes_absent: the engine's ``not_in="kubernetes"``.

    Raises:
        ValueError: one of them is not there, or is disabled, or several bear the name.
    """
    every = list(places(policies, not_in_takes_absent=not_in_takes_absent))
    mine, theirs = _named(policies, every, first), _named(policies, every, second)
    entries = all(map(_ENTRY.fullmatch, (first, second)))
    try:
        kind, event = _related(mine, theirs, entries=entries)
    except NotDecidedError as error:
        kind, event = "not-decided", None
        message = f"not decided how it stands to {second}: {error}"
    else:
        message = (_OF_ENTRIES if entries else _OF_POLICIES)[kind].format(second)
    place = mine[0]
    subject = f"{place.entry.section}[{place.entry.index}] {place.entry.action}" if _ENTRY.fullmatch(first) else ""
    location = place.location if subject else place.policy.location
    return Answer(kind, message, place.policy.name, subject, location, (second,), event)


_OF_ENTRIES: Final[dict[str, str]] = {
    "equivalent": "it fires for the same events as {}",
    "implied": "whenever it fires, so does {}, which fires for other events, too",
    "implies": "whenever {} fires, so does it, and it fires for other events, too",
    "overlapping": "it and {} fire together for some events, and each fires for others",
    "disjoint": "no event fires both it and {}",
}
_OF_POLICIES: Final[dict[str, str]] = {
    "equivalent": "it asks for the same of the same events as {}",
    "implied": "whatever it asks for, so does {}, which asks for more",
    "implies": "whatever {} asks for, so does it, and it asks for more",
    "overlapping": "it and {} ask for something of the same events, and each for what the other does not",
    "disjoint": "no event makes both it and {} ask for anything",
}


def _named(policies: PolicySet, every: Iterable[Place], name: str) -> list[Place]:
    match = _ENTRY.fullmatch(name)
    policy = match["policy"] if match else name
    bearers = [item for item in policies if item.name == policy]
    if len(bearers) != 1:
        why = f"{len(bearers)} policies are named" if bearers else "there is no policy"
        hint = "" if bearers else f"; {suggestion(policy, [item.name for item in policies])}"
        raise ValueError(f"{why} {quoted(policy)}{hint}")
    found = [place for place in every if place.policy is bearers[0]]
    if match:
        found = [p for p in found if (p.entry.section, p.entry.index) == (match["section"], int(match["index"]))]
    if not found:
        raise ValueError(f"{quoted(name)} has no entry that is enabled")
    return found


def _related(mine: Sequence[Place], theirs: Sequence[Place], *, entries: bool) -> tuple[Kind, Mapping[str, Any] | None]:
    both = next((box for a in mine for b in theirs if not (box := a.box & b.box).empty), None)
    if both is None:
        return "disjoint", None
    only_mine, only_theirs = _beyond(mine, theirs, entries), _beyond(theirs, mine, entries)
    kind = _HELD[only_mine is None, only_theirs is None]
    shown = {"implied": only_theirs, "implies": only_mine}.get(kind) or both
    needs = {need for place in (*mine, *theirs) for need in place.needs}
    return kind, shown.example(needs)


def _beyond(mine: Iterable[Place], theirs: Iterable[Place], entries: bool) -> Box | None:
    """Return events for which one of these fires and none of those that do for it; None where there are none."""
    for place in mine:
        held = [other.box for other in theirs if entries or _does_for(other, place)]
        left = place.box.within(held)
        if left is not None:
            return left
    return None


def _does_for(other: Place, place: Place) -> bool:
    same = (other.entry.action, other.entry.parameters) == (place.entry.action, place.entry.parameters)
    return same and (other.live == "execute" or place.live == "audit")
