"""The best pure Python on values never seen: a dict on the most selective exact value, then the candidates are checked.

Policies without any exact value are found by what their globs begin with, in a dict too; globs that begin with a
wildcard are one regular expression an attribute. What a candidate checks is compiled once.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from peers.named import IDENTITY, attributes, is_glob
from spyderresp import reference
from spyderresp.policy import Clause, PolicySet, Selector

_SHAPES = 65_536
_Test = Callable[["str | None"], bool]


class Shape:
    """The policies and actions of many plans."""

    __slots__ = ("actions", "policies")

    def __init__(self, policies: tuple[str, ...], actions: tuple[Action, ...]) -> None:
        self.policies = policies
        self.actions = actions


class Action:
    """One planned action."""

    __slots__ = ("disposition", "name", "parameters", "sources")

    def __init__(self, said: dict[str, Any]) -> None:
        self.name = said["action"]
        self.parameters = said["parameters"]
        self.disposition = said["disposition"]
        self.sources = said["sources"]

    def to_dict(self) -> dict[str, Any]:
        return {
            "action": self.name,
            "parameters": self.parameters,
            "disposition": self.disposition,
            "sources": self.sources,
        }


class ExactDict:
    """Decides one policy set."""

    def __init__(self, policies: PolicySet) -> None:
        self._policies = list(policies)
        self._names = attributes(policies)
        self._checks = [_checks(policy.selectors) for policy in self._policies]
        self._entries = [
            [(entry, _checks(entry.selectors)) for entry in policy.entries if entry.enabled]
            for policy in self._policies
        ]
        self._exact: dict[tuple[str, str], dict[str, list[int]]] = {}
        self._prefixes: dict[tuple[str, str], dict[int, dict[str, list[int]]]] = {}
        self._open: dict[tuple[str, str], list[tuple[re.Pattern[str], int]]] = {}
        self._always: list[int] = []
        self._shapes: dict[Any, Shape] = {}
        self._bearing: dict[tuple[str, Any], list[int]] = {}
        self._post()

    def _post(self) -> None:
        clauses = [
            [(selector.scope, clause) for selector in policy.selectors for clause in selector.clauses]
            for policy in self._policies
        ]
        use = Counter((s, c.key, v) for held in clauses for s, c in held if c.operator == "In" for v in c.values)
        for place, held in enumerate(clauses):
            policy = self._policies[place]
            if not policy.enabled:
                continue
            self._bearing.setdefault(("policy_uid", policy.uid), []).append(place)
            self._bearing.setdefault(("policy_name", policy.name), []).append(place)
            inside = [(scope, clause) for scope, clause in held if clause.operator == "In"]
            if not inside:
                self._always.append(place)
                continue
            scope, clause = min(inside, key=lambda item: _selectivity(item[0], item[1], use))
            name = scope, clause.key
            for value in clause.values:
                if not is_glob(value):
                    self._exact.setdefault(name, {}).setdefault(value, []).append(place)
                    continue
                prefix = re.split(r"[*?\[]", value, maxsplit=1)[0]
                if prefix:
                    by_length = self._prefixes.setdefault(name, {}).setdefault(len(prefix), {})
                    by_length.setdefault(prefix, []).append(place)
                else:
                    self._open.setdefault(name, []).append((re.compile(fnmatch.translate(value)), place))

    def evaluate(self, event: Mapping[str, Any]) -> tuple[Any, Shape, dict[str, Any] | None]:
        """Return an event's id, the shape of its plan, and a copy of what its target is."""
        shape = self.decide(event, ())
        return event.get("id"), shape, _target(event) if shape.actions else None

    def decide(self, event: Mapping[str, Any], _: tuple[Any, ...]) -> Shape:
        """Return the shape of an event's plan."""
        values = _read(event, self._names)
        attributed = self._attributed(event)
        found = attributed if attributed is not None else self._candidates(values)
        checks, in_scope = self._checks, []
        for place in found:
            for scope, tests in checks[place]:
                if event.get(scope) is None:
                    if attributed is None:
                        break
                elif not all(test(values[name]) for name, test in tests):
                    break
            else:
                in_scope.append(place)
        fired = []
        for place in in_scope:
            for entry, tests_of in self._entries[place]:
                for scope, tests in tests_of:
                    if event.get(scope) is None or not all(test(values[name]) for name, test in tests):
                        break
                else:
                    fired.append((place, entry.section, entry.index))
        pod, process = event.get("pod") is None, event.get("process") is None
        key = tuple(in_scope), tuple(fired), pod, process
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shape(in_scope, set(fired), event)
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
            self._shapes[key] = shape
        return shape

    def _attributed(self, event: Mapping[str, Any]) -> list[int] | None:
        for key in ("policy_uid", "policy_name"):
            value = event.get(key)
            if value is not None:
                return self._bearing.get((key, value), [])
        return None

    def _candidates(self, values: dict[tuple[str, str], str | None]) -> list[int]:
        found = list(self._always)
        for name, table in self._exact.items():
            found += table.get(values[name], ())
        for name, by_length in self._prefixes.items():
            value = values[name]
            if value is not None:
                for length, prefixes in by_length.items():
                    found += prefixes.get(value[:length], ())
        for name, patterns in self._open.items():
            value = values[name]
            if value is not None:
                found += [place for pattern, place in patterns if pattern.match(value)]
        # A policy of two values may be found twice; plans list policies in their order.
        return sorted(set(found))

    def _shape(self, in_scope: list[int], fired: set[tuple[int, str, int]], event: Mapping[str, Any]) -> Shape:
        items = [
            reference.Fired(place, self._policies[place], entry, False)
            for place in in_scope
            for entry, _ in self._entries[place]
            if (place, entry.section, entry.index) in fired
        ]
        actions = reference.plan(items, event, reference.DEFAULT)
        return Shape(tuple(self._policies[place].name for place in in_scope), tuple(map(Action, actions)))


def _selectivity(scope: str, clause: Clause, use: Counter[tuple[str, str, str]]) -> tuple[bool, bool, int]:
    """Order clauses: no globs, then no glob that begins with a wildcard, then the value that fewest policies name."""
    return (
        any(map(is_glob, clause.values)),
        any(value[:1] in ("*", "?", "[") for value in clause.values),
        max(use[scope, clause.key, value] for value in clause.values),
    )


def _checks(selectors: tuple[Selector, ...]) -> list[tuple[str, list[tuple[tuple[str, str], _Test]]]]:
    return [
        (selector.scope, [((selector.scope, clause.key), _test(clause)) for clause in selector.clauses])
        for selector in selectors
    ]


def _test(clause: Clause) -> _Test:
    if clause.operator == "Exists":
        return lambda value: value is not None
    if clause.operator == "DoesNotExist":
        return lambda value: value is None
    exact = frozenset(value for value in clause.values if not is_glob(value))
    globs = [fnmatch.translate(value) for value in clause.values if is_glob(value)]
    if not globs:
        return exact.__contains__ if clause.operator == "In" else lambda value: value not in exact
    match = re.compile("|".join(globs)).match
    if clause.operator == "In":
        return lambda value: value is not None and (value in exact or match(value) is not None)
    return lambda value: value is None or (value not in exact and match(value) is None)


def _read(event: Mapping[str, Any], names: list[tuple[str, str]]) -> dict[tuple[str, str], str | None]:
    """Read each named value once, and refuse what is no text."""
    values: dict[tuple[str, str], str | None] = {}
    for scope, key in names:
        held = event.get(scope)
        value = None if held is None else reference.value_of(scope, key, held)
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{scope}.{key} must be a text or null")
        values[scope, key] = value
    return values


def _target(event: Mapping[str, Any]) -> dict[str, Any]:
    return {scope: dict(_own(scope, event[scope])) for scope in reference.SCOPES if event.get(scope) is not None}


def _own(scope: str, held: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in IDENTITY.get(scope, ()):
        value = held.get(key)
        if value is not None:
            yield key, value
