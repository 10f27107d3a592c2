"""cedarpy as its documentation shows: a parsed policy set, one ``permit`` for each row, asked which of them hold."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from typing import Any

import cedarpy

from peers.conditions import Assembler, Condition, NotSupportedError, Row, rows
from peers.named import attributes
from peers.reading import projection
from peers.shapes import Shape
from spyderresp.policies.policy_set import PolicySet


class Cedar:
    """Decides one policy set."""

    name = f"cedarpy {importlib.metadata.version('cedarpy')}"

    def __init__(self, policies: PolicySet) -> None:
        self._project = projection(attributes(policies))
        self._assembler = Assembler(policies)
        self._rows = rows(policies)
        # A policy without an id is called after its place: policy0, policy1 and on.
        self._policies = cedarpy.PolicySet.from_str("\n".join(map(_permit, self._rows)))
        self._entities = cedarpy.Entities.from_json_str("[]")

    def evaluate(self, event: Mapping[str, Any]) -> tuple[Any, Shape]:
        context = {name: value for name, value in self._project(event).items() if value is not None}
        request = {
            "principal": 'Host::"h"',
            "action": 'Action::"deviate"',
            "resource": 'Host::"h"',
            "context": context,
        }
        result = cedarpy.is_authorized(request, self._policies, self._entities)
        held = sorted(int(name[6:]) for name in result.diagnostics.reasons)
        places = [self._rows[number].place for number in held if self._rows[number].entry is None]
        entries = [(row.place, *row.entry) for row in map(self._rows.__getitem__, held) if row.entry is not None]
        return event.get("id"), self._assembler.shape(places, entries, event)


def _permit(row: Row) -> str:
    parts = [f"context.{scope}" for scope in row.scopes] + [_clause(condition) for condition in row.conditions]
    return f"permit(principal, action, resource) when {{ {' && '.join(parts)} }};"


def _clause(condition: Condition) -> str:
    there, value = f"context has {condition.name}", f"context.{condition.name}"
    if condition.operator == "Exists":
        return there
    if condition.operator == "DoesNotExist":
        return f"!({there})"
    parts = [f"[{', '.join(map(json.dumps, condition.exact))}].contains({value})"] if condition.exact else []
    for glob in condition.globs:
        if "?" in glob or "[" in glob:
            raise NotSupportedError(f"Cedar's `like` has no {glob}")
        parts.append(f"{value} like {json.dumps(glob)}")
    some = f"({there} && ({' || '.join(parts)}))"
    return some if condition.operator == "In" else f"!{some}"
