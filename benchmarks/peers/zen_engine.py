"""zen-engine as cleverly as it can be configured: one small table a scope, compiled once by its static loader.

A scope is what shares a most selective value; a dict leads from an event to the tables to ask, and each collects the
numbers of the rows that hold. One table of everything grows with the policies, as globs defeat its index; a decision
made by ``create_decision`` is compiled anew for each call.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from typing import Any

import zen

from peers.conditions import Assembler, Condition, NotSupportedError, Row, rows
from peers.named import attributes, is_glob
from peers.pivots import Pivots
from peers.reading import projection
from peers.shapes import Shape
from spyderresp.policies.policy_set import PolicySet


class Zen:
    """Decides one policy set."""

    name = f"zen-engine {importlib.metadata.version('zen-engine')}"

    def __init__(self, policies: PolicySet) -> None:
        names = attributes(policies)
        self._project = projection(names)
        self._width = len(names)
        self._assembler = Assembler(policies)
        self._rows = rows(policies)
        by_policy: dict[int, list[tuple[int, Row]]] = {}
        for number, row in enumerate(self._rows):
            by_policy.setdefault(row.place, []).append((number, row))
        content: dict[str, Any] = {}

        def table_of(places: list[int]) -> list[Any]:
            key = f"t{len(content)}"
            content[key] = _graph([row for place in dict.fromkeys(places) for row in by_policy[place]])
            return [key]

        self._pivots = Pivots(list(policies), {name: place for place, name in enumerate(names)}, table_of)
        self._engine = zen.ZenEngine({"loader": {"type": "static", "content": content}})

    def evaluate(self, event: Mapping[str, Any]) -> tuple[Any, Shape]:
        context = self._project(event)
        # The values come first, in their order.
        keys = set(self._pivots.find(list(context.values())[: self._width]))
        places, entries = set(), set()
        for key in keys:
            for item in self._engine.evaluate(key, context)["result"]:
                row = self._rows[item["row"]]
                if row.entry is None:
                    places.add(row.place)
                else:
                    entries.add((row.place, *row.entry))
        return event.get("id"), self._assembler.shape(sorted(places), sorted(entries), event)


def _graph(numbered: list[tuple[int, Row]]) -> dict[str, Any]:
    place = {"x": 0, "y": 0}
    table = {
        "id": "table",
        "name": "table",
        "type": "decisionTableNode",
        "position": place,
        "content": _table(numbered),
    }
    ends = [{"id": kind, "name": kind, "type": f"{kind}Node", "position": place} for kind in ("input", "output")]
    edges = [
        {"id": "in", "sourceId": "input", "targetId": "table", "type": "edge"},
        {"id": "out", "sourceId": "table", "targetId": "output", "type": "edge"},
    ]
    return {"nodes": [*ends, table], "edges": edges}


def _table(numbered: list[tuple[int, Row]]) -> dict[str, Any]:
    fields = sorted({name for _, row in numbered for name in (*row.scopes, *(c.name for c in row.conditions))})
    rules = []
    for number, row in numbered:
        cells = dict.fromkeys(row.scopes, "true")
        for condition in row.conditions:
            if condition.name in cells:
                raise NotSupportedError("a column for each of two conditions on one value")
            cells[condition.name] = _cell(condition)
        rules.append({"_id": f"r{number}", **cells, "row": str(number)})
    return {
        "hitPolicy": "collect",
        "inputs": [{"id": field, "name": field, "field": field} for field in fields],
        "outputs": [{"id": "row", "name": "row", "field": "row"}],
        "rules": rules,
    }


def _cell(condition: Condition) -> str:
    if condition.operator in ("Exists", "DoesNotExist"):
        return "$ != null" if condition.operator == "Exists" else "$ == null"
    parts = list(map(json.dumps, condition.exact)) + list(map(_glob, condition.globs))
    if condition.operator == "In":
        # Of exact texts alone, the table makes an index.
        return ", ".join(parts)
    parts = [f"not ($ == {json.dumps(text)})" for text in condition.exact]
    # A bracket around an `or` of calls is never true in this language, whatever stands in it.
    return " and ".join(parts + [f"not {_glob(glob)}" for glob in condition.globs])


def _glob(glob: str) -> str:
    """Return a glob as a call: of a plain text function where one will do, for the others are dear."""
    inner = glob.strip("*")
    if is_glob(inner) or glob not in (f"{inner}*", f"*{inner}", f"*{inner}*"):
        return f"matches($, {json.dumps(_regex(glob))})"
    function = "contains" if glob[0] == glob[-1] == "*" else "startsWith" if glob[-1] == "*" else "endsWith"
    return f"{function}($, {json.dumps(inner)})"


def _regex(glob: str) -> str:
    special = {"*": ".*", "?": "."}
    return "^" + "".join(special.get(char, f"\\{char}" if not char.isalnum() else char) for char in glob) + "$"
