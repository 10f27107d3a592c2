"""datalogic-py as its documentation shows for hot loops: compiled rules, a session, and each event parsed once."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import datalogic_py

from peers.conditions import Assembler, Condition, Row, rows, simple_glob
from peers.named import attributes
from peers.reading import projection
from peers.shapes import Fired, Shape
from spyderresp.policies.policy_set import PolicySet

_FUNCTIONS = {"starts": "starts_with", "ends": "ends_with"}


class DataLogic:
    """Decides one policy set. The actions of policies out of scope are not asked for."""

    name = f"datalogic-py {importlib.metadata.version('datalogic-py')}"

    def __init__(self, policies: PolicySet) -> None:
        self._project = projection(attributes(policies))
        self._assembler = Assembler(policies)
        engine = datalogic_py.Engine()
        self._evaluate = engine.session().evaluate_truthy
        self._rules: list[tuple[int, Any]] = []
        self._entries: dict[int, list[tuple[Fired, Any]]] = {}
        for row in rows(policies):
            rule = engine.compile(_rule(row))
            if row.entry is None:
                self._rules.append((row.place, rule))
            else:
                self._entries.setdefault(row.place, []).append(((row.place, *row.entry), rule))

    def evaluate(self, event: Mapping[str, Any]) -> tuple[Any, Shape]:
        data, evaluate = datalogic_py.DataHandle(self._project(event)), self._evaluate
        places = [place for place, rule in self._rules if evaluate(rule, data)]
        entries = [fired for place in places for fired, rule in self._entries.get(place, ()) if evaluate(rule, data)]
        return event.get("id"), self._assembler.shape(places, entries, event)


def _rule(row: Row) -> dict[str, Any]:
    return {"and": [*({"var": scope} for scope in row.scopes), *map(_clause, row.conditions)]}


def _clause(condition: Condition) -> dict[str, Any]:
    value = {"var": condition.name}
    absent = {"===": [value, None]}
    if condition.operator in ("Exists", "DoesNotExist"):
        return {"!": [absent]} if condition.operator == "Exists" else absent
    parts: list[dict[str, Any]] = [{"in": [value, list(condition.exact)]}] if condition.exact else []
    for glob in condition.globs:
        kind, inner = simple_glob(glob)
        parts.append({"in": [inner, value]} if kind == "has" else {_FUNCTIONS[kind]: [value, inner]})
    some = {"and": [{"!": [absent]}, {"or": parts}]}
    return some if condition.operator == "In" else {"!": [some]}
