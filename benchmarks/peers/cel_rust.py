"""common-expression-language as its documentation shows: each expression compiled once, executed for each event."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from typing import Any

import cel

from peers.conditions import Assembler, Condition, Row, rows, simple_glob
from peers.named import attributes
from peers.reading import projection
from peers.shapes import Fired, Shape
from spyderresp.policies.policy_set import PolicySet

_FUNCTIONS = {"starts": "startsWith", "ends": "endsWith", "has": "contains"}


class Cel:
    """Decides one policy set. The actions of policies out of scope are not asked for."""

    name = f"CEL (common-expression-language {importlib.metadata.version('common-expression-language')})"

    def __init__(self, policies: PolicySet) -> None:
        self._project = projection(attributes(policies))
        self._assembler = Assembler(policies)
        self._programs: list[tuple[int, Any]] = []
        self._entries: dict[int, list[tuple[Fired, Any]]] = {}
        for row in rows(policies):
            program = cel.compile(_expression(row))
            if row.entry is None:
                self._programs.append((row.place, program))
            else:
                self._entries.setdefault(row.place, []).append(((row.place, *row.entry), program))

    def evaluate(self, event: Mapping[str, Any]) -> tuple[Any, Shape]:
        # Made once an event; every program would convert a dict anew.
        context = cel.Context(self._project(event))
        places = [place for place, program in self._programs if program.execute(context)]
        entries = [
            fired for place in places for fired, program in self._entries.get(place, ()) if program.execute(context)
        ]
        return event.get("id"), self._assembler.shape(places, entries, event)


def _expression(row: Row) -> str:
    return " && ".join([*row.scopes, *map(_clause, row.conditions)])


def _clause(condition: Condition) -> str:
    name = condition.name
    if condition.operator == "Exists":
        return f"{name} != null"
    if condition.operator == "DoesNotExist":
        return f"{name} == null"
    parts = [f"{name} in [{', '.join(map(json.dumps, condition.exact))}]"] if condition.exact else []
    for glob in condition.globs:
        kind, inner = simple_glob(glob)
        parts.append(f"{name}.{_FUNCTIONS[kind]}({json.dumps(inner)})")
    some = f"({name} != null && ({' || '.join(parts)}))"
    return some if condition.operator == "In" else f"!{some}"
