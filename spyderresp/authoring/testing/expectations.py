"""Expected actions against those of a plan: which is which, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from spyderresp.authoring.testing.suite import ExpectedAction, How

Sourced = Mapping[str, Any]
_SOURCE_KEYS: Final = ("policy", "section", "index", "uid")
#: Pairs of actions that are compared to find the best way to lay two lists side by side; beyond, place by place.
_MOST_PAIRS: Final = 250_000


class Difference(NamedTuple):
    """One way in which an action is not the expected one.

    Attributes:
        path: of what, such as ``parameters.severity``.
        expected: what was expected; None: absence.
        got: what is there; None: nothing.
    """

    path: str
    expected: Any
    got: Any


class ActionPair(NamedTuple):
    """An expected action and the one that is laid beside it; either may be missing.

    Attributes:
        expected: its place among the expected, or None.
        got: its place in the plan, or None.
        differences: none where they agree.
    """

    expected: int | None
    got: int | None
    differences: tuple[Difference, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether both are there and do not differ."""
        return self.expected is not None and self.got is not None and not self.differences


def differences(expected: ExpectedAction, action: Mapping[str, Any], *, whole: bool = False) -> tuple[Difference, ...]:
    """Return how an action, in JSON form, is not what is expected; in whole, what is not said must be absent."""
    said = expected.said
    found = [
        Difference(key, said.get(key), action.get(key))
        for key in ("action", "disposition", "superseded_by", "reason")
        if (key in said or whole) and not same(said.get(key), action.get(key))
    ]
    if "parameters" in said or whole:
        wanted, held = said.get("parameters", {}), action["parameters"]
        keys = dict.fromkeys((*wanted, *held)) if whole else wanted
        found += [
            Difference(f"parameters.{key}", wanted.get(key), held.get(key))
            for key in keys
            if not same(wanted.get(key), held.get(key))
        ]
    if "sources" in said or whole:
        found += _sources(said.get("sources", []), action["sources"], whole=whole)
    wanted = {key: said[key] for key in _SOURCE_KEYS if key in said}
    if wanted and not any(_is_source(wanted, source) for source in action["sources"]):
        found.append(Difference("source", wanted, action["sources"]))
    return tuple(found)


def _sources(wanted: Sequence[Sourced], held: Sequence[Sourced], *, whole: bool) -> list[Difference]:
    alike = len(wanted) == len(held) and all(
        same(dict(want), dict(have)) if whole else _is_source(want, have)
        for want, have in zip(wanted, held, strict=True)
    )
    return [] if alike else [Difference("sources", wanted, held)]


def _is_source(wanted: Mapping[str, Any], source: Mapping[str, Any]) -> bool:
    return all(same(wanted[key], source.get(key)) for key in wanted)


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are one: ``true`` is not 1, and 1 is not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def laid_out(how: How, expected: Sequence[ExpectedAction], actions: Sequence[Mapping[str, Any]]) -> list[ActionPair]:
    """Return every expected action and every planned one, side by side as well as can be.

    All is as expected where every pair that has an expected action agrees, and, but for ``contains``, every pair does.
    """
    if how == "contains":
        return _contained(expected, actions)
    whole = how == "whole"
    common = range(min(len(expected), len(actions)))
    straight = [ActionPair(place, place, differences(expected[place], actions[place], whole=whole)) for place in common]
    if len(expected) * len(actions) > _MOST_PAIRS or (
        len(expected) == len(actions) and all(pair.agrees for pair in straight)
    ):
        straight += [ActionPair(place, None) for place in range(len(actions), len(expected))]
        return [*straight, *(ActionPair(None, place) for place in range(len(expected), len(actions)))]
    table = [[differences(want, have, whole=whole) for have in actions] for want in expected]
    return _aligned(table, expected, actions)


def _alike(want: ExpectedAction, have: Mapping[str, Any]) -> bool:
    """Tell whether a reader would take one for the other: what they are called is the same."""
    return "action" not in want.said or want.said["action"] == have["action"]


def _aligned(
    table: list[list[tuple[Difference, ...]]], expected: Sequence[ExpectedAction], actions: Sequence[Mapping[str, Any]]
) -> list[ActionPair]:
    """Lay both lists side by side, in order, with as few differences as can be."""
    rows, columns = len(expected), len(actions)
    # What it costs from here to the end. One left over costs 3, so that a pair of one name that differs is better.
    cost = [[3 * (rows - i + columns - j) for j in range(columns + 1)] for i in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            cost[i][j] = min(
                3 + cost[i + 1][j],
                3 + cost[i][j + 1],
                _beside(table[i][j], expected[i], actions[j]) + cost[i + 1][j + 1],
            )
    pairs: list[ActionPair] = []
    i = j = 0
    while i < rows or j < columns:
        if i < rows and j < columns:
            beside = _beside(table[i][j], expected[i], actions[j])
            if cost[i][j] == beside + cost[i + 1][j + 1]:
                pairs.append(ActionPair(i, j, table[i][j]))
                i, j = i + 1, j + 1
                continue
        if i < rows and cost[i][j] == 3 + cost[i + 1][j]:
            pairs.append(ActionPair(i, None))
            i += 1
        else:
            pairs.append(ActionPair(None, j))
            j += 1
    return pairs


def _beside(found: tuple[Difference, ...], want: ExpectedAction, have: Mapping[str, Any]) -> int:
    if not found:
        return 0
    return 2 if _alike(want, have) else 7


def _contained(expected: Sequence[ExpectedAction], actions: Sequence[Mapping[str, Any]]) -> list[ActionPair]:
    """Give each expected action one of the plan that no other has: a matching, so no order of choosing can miss one."""
    fits = [[place for place, have in enumerate(actions) if not differences(want, have)] for want in expected]
    holder: dict[int, int] = {}
    for want in range(len(expected)):
        _give(want, fits, holder)
    given = {want: place for place, want in holder.items()}
    left = [place for place in range(len(actions)) if place not in holder]
    pairs = []
    for want, action in enumerate(expected):
        if want in given:
            pairs.append(ActionPair(want, given[want]))
            continue
        near = next((place for place in left if "action" in action.said and _alike(action, actions[place])), None)
        if near is not None:
            left.remove(near)
            pairs.append(ActionPair(want, near, differences(action, actions[near])))
        else:
            pairs.append(ActionPair(want, None))
    return [*pairs, *(ActionPair(None, place) for place in left)]


def _give(want: int, fits: list[list[int]], holder: dict[int, int]) -> None:
    """Give one more expected action a place, moving others to other places of theirs where that makes room."""
    came: dict[int, int] = {}
    waiting = [want]
    for one in waiting:
        for place in fits[one]:
            if place in came:
                continue
            came[place] = one
            if place in holder:
                waiting.append(holder[place])
                continue
            # Free. Everyone on the way here moves on to the place that was found for them.
            free: int | None = place
            while free is not None:
                mover = came[free]
                left = next((held for held, whose in holder.items() if whose == mover), None)
                holder[free] = mover
                if left is not None:
                    del holder[left]
                free = left
            return
