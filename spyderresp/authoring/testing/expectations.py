"""Compares expected actions with those of a plan: pairs them, and lists the differences of each pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from spyderresp.authoring.testing.suite import ExpectedAction, How

_Source = Mapping[str, Any]
_SOURCE_KEYS: Final = ("policy", "section", "index", "uid")
# The most comparisons to find the best pairs; with more, actions are paired by position.
_MAX_COMPARISONS: Final = 250_000


class Difference(NamedTuple):
    """A difference between an action and the expected one.

    Attributes:
        path: the key, such as ``parameters.severity``.
        expected: the expected value; None: absence.
        got: the actual value; None: there is none.
    """

    path: str
    expected: Any
    got: Any


class ActionPair(NamedTuple):
    """An expected action and an action of the plan. One of them may be missing.

    Attributes:
        expected: the index of the expected action; None: it is missing.
        got: the index of the action in the plan; None: it is missing.
        differences: the differences between the two.
    """

    expected: int | None
    got: int | None
    differences: tuple[Difference, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether both are there and there is no difference."""
        return self.expected is not None and self.got is not None and not self.differences


def differences(expected: ExpectedAction, action: Mapping[str, Any], *, whole: bool = False) -> tuple[Difference, ...]:
    """Return the differences between an action, as JSON data, and the expected one.

    Args:
        expected: the expected action.
        action: the action.
        whole: whether keys that ``expected`` leaves out must be absent.
    """
    fields = expected.fields
    result = [
        Difference(key, fields.get(key), action.get(key))
        for key in ("action", "disposition", "superseded_by", "reason")
        if (key in fields or whole) and not same(fields.get(key), action.get(key))
    ]
    if "parameters" in fields or whole:
        wanted, actual = fields.get("parameters", {}), action["parameters"]
        keys = dict.fromkeys((*wanted, *actual)) if whole else wanted
        result += [
            Difference(f"parameters.{key}", wanted.get(key), actual.get(key))
            for key in keys
            if not same(wanted.get(key), actual.get(key))
        ]
    if "sources" in fields or whole:
        result += _sources(fields.get("sources", []), action["sources"], whole=whole)
    wanted = {key: fields[key] for key in _SOURCE_KEYS if key in fields}
    if wanted and not any(_is_source(wanted, source) for source in action["sources"]):
        result.append(Difference("source", wanted, action["sources"]))
    return tuple(result)


def _sources(wanted: Sequence[_Source], actual: Sequence[_Source], *, whole: bool) -> list[Difference]:
    equal = len(wanted) == len(actual) and all(
        same(dict(expected), dict(source)) if whole else _is_source(expected, source)
        for expected, source in zip(wanted, actual, strict=True)
    )
    return [] if equal else [Difference("sources", wanted, actual)]


def _is_source(wanted: Mapping[str, Any], source: Mapping[str, Any]) -> bool:
    return all(same(wanted[key], source.get(key)) for key in wanted)


def same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal: ``true`` is not 1, and 1 is not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def paired(how: How, expected: Sequence[ExpectedAction], actions: Sequence[Mapping[str, Any]]) -> list[ActionPair]:
    """Return every expected action and every action of a plan, in pairs with as few differences as possible.

    The plan is as expected if every pair with an expected action agrees and, except for ``contains``, no other is left.
    """
    if how == "contains":
        return _contained(expected, actions)
    whole = how == "whole"
    common = range(min(len(expected), len(actions)))
    by_position = [ActionPair(i, i, differences(expected[i], actions[i], whole=whole)) for i in common]
    if len(expected) * len(actions) > _MAX_COMPARISONS or (
        len(expected) == len(actions) and all(pair.agrees for pair in by_position)
    ):
        by_position += [ActionPair(i, None) for i in range(len(actions), len(expected))]
        return [*by_position, *(ActionPair(None, i) for i in range(len(expected), len(actions)))]
    table = [[differences(item, action, whole=whole) for action in actions] for item in expected]
    return _aligned(table, expected, actions)


def _same_name(expected: ExpectedAction, action: Mapping[str, Any]) -> bool:
    return "action" not in expected.fields or expected.fields["action"] == action["action"]


# The costs of an alignment: a pair with the same name and differences is better than two missing partners.
_MISSING: Final = 3
_DIFFERENT: Final = 2
_OTHER_NAME: Final = 7


def _aligned(
    table: list[list[tuple[Difference, ...]]], expected: Sequence[ExpectedAction], actions: Sequence[Mapping[str, Any]]
) -> list[ActionPair]:
    """Pair two lists without changing their order, at the least cost.

    Args:
        table: the differences between each expected action and each action.
        expected: the expected actions.
        actions: the actions.
    """
    rows, columns = len(expected), len(actions)

    def pair_cost(i: int, j: int) -> int:
        if not table[i][j]:
            return 0
        return _DIFFERENT if _same_name(expected[i], actions[j]) else _OTHER_NAME

    # The least cost of pairing the rest of both lists, from row `i` and column `j`.
    cost = [[_MISSING * (rows - i + columns - j) for j in range(columns + 1)] for i in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            missing = _MISSING + min(cost[i + 1][j], cost[i][j + 1])
            cost[i][j] = min(missing, pair_cost(i, j) + cost[i + 1][j + 1])
    pairs: list[ActionPair] = []
    i = j = 0
    while i < rows or j < columns:
        if i < rows and j < columns and cost[i][j] == pair_cost(i, j) + cost[i + 1][j + 1]:
            pairs.append(ActionPair(i, j, table[i][j]))
            i, j = i + 1, j + 1
        elif i < rows and cost[i][j] == _MISSING + cost[i + 1][j]:
            pairs.append(ActionPair(i, None))
            i += 1
        else:
            pairs.append(ActionPair(None, j))
            j += 1
    return pairs


def _contained(expected: Sequence[ExpectedAction], actions: Sequence[Mapping[str, Any]]) -> list[ActionPair]:
    """Pair each expected action with another action of the plan: a maximum bipartite matching."""
    fitting = [[i for i, action in enumerate(actions) if not differences(item, action)] for item in expected]
    partners: dict[int, int] = {}
    for number in range(len(expected)):
        _match(number, fitting, partners)
    matched = {number: index for index, number in partners.items()}
    left = [index for index in range(len(actions)) if index not in partners]
    pairs = []
    for number, item in enumerate(expected):
        if number in matched:
            pairs.append(ActionPair(number, matched[number]))
            continue
        similar = next((i for i in left if "action" in item.fields and _same_name(item, actions[i])), None)
        if similar is not None:
            left.remove(similar)
            pairs.append(ActionPair(number, similar, differences(item, actions[similar])))
        else:
            pairs.append(ActionPair(number, None))
    return [*pairs, *(ActionPair(None, index) for index in left)]


def _match(number: int, fitting: list[list[int]], partners: dict[int, int]) -> None:
    """Find a partner for one more expected action; others may get another partner: an augmenting path.

    Args:
        number: the expected action.
        fitting: the actions that fit each expected action.
        partners: the expected action of each action that has one; changed if a path is found.
    """
    # How the search reached each action: from which expected action.
    reached_from: dict[int, int] = {}
    waiting = [number]
    for current in waiting:
        for index in fitting[current]:
            if index in reached_from:
                continue
            reached_from[index] = current
            if index in partners:
                waiting.append(partners[index])
                continue
            # This action is free. Every expected action on the path moves to the action that it reached.
            free: int | None = index
            while free is not None:
                moved = reached_from[free]
                previous = next((action for action, partner in partners.items() if partner == moved), None)
                partners[free] = moved
                if previous is not None:
                    del partners[previous]
                free = previous
            return
