"""Plans as plain Python holds them, for contestants that find what fires and leave the rest to the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spyderresp.decision import reference
from spyderresp.policies.policy_set import Policy

_SHAPES = 65_536

#: A policy's place, the section and index of one of its entries.
Fired = tuple[int, str, int]


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


class Shapes:
    """Remembers the shape of each set of fired entries, within bounds; the oracle's own code makes a new one."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = policies
        self._entries = [{(entry.section, entry.index): entry for entry in policy.entries} for policy in policies]
        self._known: dict[Any, Shape] = {}

    def of(self, in_scope: Sequence[int], fired: Sequence[Fired], event: Mapping[str, Any]) -> Shape:
        """Return the shape of what fired for an event; places ascend."""
        key = tuple(in_scope), tuple(fired), event.get("pod") is None, event.get("process") is None
        shape = self._known.get(key)
        if shape is None:
            if len(self._known) >= _SHAPES:
                self._known.clear()
            shape = self._known[key] = self._make(in_scope, fired, event)
        return shape

    def _make(self, in_scope: Sequence[int], fired: Sequence[Fired], event: Mapping[str, Any]) -> Shape:
        items = [
            reference.Fired(place, self._policies[place], self._entries[place][section, index], False)
            for place, section, index in fired
        ]
        actions = reference.plan(items, event, reference.DEFAULT)
        return Shape(tuple(self._policies[place].name for place in in_scope), tuple(map(Action, actions)))
