"""The best pure Python on values never seen: a dict on the most selective exact value, then the candidates are checked.

What a candidate checks is compiled once. ``ExactAndPrefixDict`` goes further than most would by hand.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from typing import Any

from peers.named import IDENTITY, attributes, is_glob
from peers.pivots import Pivots
from peers.reading import Reads, compiled
from peers.shapes import Fired, Shape, Shapes
from spyderresp.decision.reference import SCOPES
from spyderresp.policies.policy_set import Clause, PolicySet, Selector

_Test = Callable[[Any], bool]


class ExactDict:
    """Decides one policy set.

    Args:
        policies: what it decides by.
        globs: post policies without an exact value under what their globs begin with.
    """

    name = "Python, dict on the most selective exact value"

    def __init__(self, policies: PolicySet, *, globs: bool = False) -> None:
        self._policies = list(policies)
        names = attributes(policies)
        self._read = _reader(names)
        # Values by place: those named, then whether each scope is there.
        self._places: dict[Any, int] = {name: place for place, name in enumerate(names)}
        self._places |= {scope: len(names) + place for place, scope in enumerate(SCOPES)}
        self._checks = [self._compile(policy.selectors) for policy in self._policies]
        self._entries = [
            [
                (place, entry.section, entry.index, self._compile(entry.selectors))
                for entry in policy.entries
                if entry.enabled
            ]
            for place, policy in enumerate(self._policies)
        ]
        self._pivots = Pivots(self._policies, self._places, globs=globs)
        self._shapes = Shapes(self._policies)
        self._bearing: dict[tuple[str, Any], list[int]] = {}
        for place, policy in enumerate(self._policies):
            if policy.enabled:
                self._bearing.setdefault(("policy_uid", policy.uid), []).append(place)
                self._bearing.setdefault(("policy_name", policy.name), []).append(place)

    def _compile(self, selectors: tuple[Selector, ...]) -> list[tuple[int, _Test]]:
        """Return what must hold of which values; the presence of a scope first, for that is soon told."""
        present: list[tuple[int, _Test]] = [(self._places[selector.scope], bool) for selector in selectors]
        return present + [
            (self._places[selector.scope, clause.key], _test(clause))
            for selector in selectors
            for clause in selector.clauses
        ]

    def evaluate(self, event: Mapping[str, Any]) -> tuple[Any, Shape, dict[str, Any] | None]:
        """Return an event's id, the shape of its plan, and a copy of what its target is."""
        shape = self.decide(event)
        return event.get("id"), shape, _target(event) if shape.actions else None

    def decide(self, event: Mapping[str, Any]) -> Shape:
        """Return the shape of an event's plan."""
        values = self._read(event)
        in_scope, checks = self._attributed(event, values), self._checks
        if in_scope is None:
            in_scope = []
            # A policy may be found under two of its values; plans list policies in their order.
            for place in sorted(set(self._pivots.find(values))):
                for name, test in checks[place]:
                    if not test(values[name]):
                        break
                else:
                    in_scope.append(place)
        fired: list[Fired] = []
        for policy in in_scope:
            for place, section, index, tests in self._entries[policy]:
                for name, test in tests:
                    if not test(values[name]):
                        break
                else:
                    fired.append((place, section, index))
        return self._shapes.of(in_scope, fired, event)

    def _attributed(self, event: Mapping[str, Any], values: tuple[Any, ...]) -> list[int] | None:
        """Return the policies in scope of an attributed event, which are excused where it lacks the scope."""
        for key in ("policy_uid", "policy_name"):
            bearer = event.get(key)
            if bearer is not None:
                return [
                    place
                    for place in self._bearing.get((key, bearer), [])
                    if all(
                        event.get(selector.scope) is None
                        or all(test(values[name]) for name, test in self._compile((selector,)))
                        for selector in self._policies[place].selectors
                    )
                ]
        return None


class ExactAndPrefixDict(ExactDict):
    """With a second dict, on what globs begin with."""

    name = "Python, dicts on the most selective value and on what globs begin with"

    def __init__(self, policies: PolicySet) -> None:
        super().__init__(policies, globs=True)


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


def _reader(names: list[tuple[str, str]]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Return a function that reads each named value once, and refuses what is no text; then each scope's presence."""
    reads = Reads(names)
    values = "".join(f"{reads.values[name]}, " for name in names)
    present = ", ".join(reads.present.get(scope, "False") for scope in SCOPES)
    lines = [
        "def made(event):",
        *reads.lines,
        f" values = ({values})",
        " for value in values:",
        "  if value.__class__ is not str and value is not None: raise TypeError('must be a text or null')",
        f" return (*values, {present})",
    ]
    return compiled(lines)


def _target(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        scope: {key: value for key, value in event[scope].items() if key in keys}
        for scope, keys in IDENTITY.items()
        if event.get(scope) is not None
    }
