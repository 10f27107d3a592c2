"""What the specification makes of the entries that a plan names: is it that plan?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spyderresp import reference
from spyderresp.policy import Entry, Policy

_Key = tuple[Any, ...]


class Planned:
    """The enabled entries of a policy set, as a plan's sources name them.

    Attributes:
        names: names that several policies bear; a plan does not tell these apart.
    """

    def __init__(self, policies: Iterable[Policy], options: reference.Options) -> None:
        self._options = options
        self._entries: dict[_Key, tuple[int, Policy, Entry]] = {}
        self._twice: set[_Key] = set()
        self.names: set[str] = set()
        seen: set[str] = set()
        for order, policy in enumerate(policies):
            (self.names if policy.name in seen else seen).add(policy.name)
            if policy.enabled:
                for entry in policy.entries:
                    key = (policy.name, policy.uid, entry.section, entry.index, entry.location)
                    if key in self._entries:
                        self._twice.add(key)
                    if entry.enabled:
                        self._entries[key] = (order, policy, entry)

    def agrees(self, plan: Any, event: Mapping[str, Any]) -> bool:
        """Tell whether a plan is what the specification plans where exactly the plan's sources fire: no policy is read.

        Where two policies cannot be told apart nothing is said against it.
        """
        keys = [
            (source.policy, source.uid, source.section, source.index, source.location)
            for action in plan
            for source in action.sources
        ]
        if any(key in self._twice for key in keys):
            return True
        if any(key not in self._entries for key in keys):
            return False
        found = [self._entries[key] for key in keys]
        overridden = set()
        if self._options.defaults == "unless-overridden":
            overridden = {(order, entry.action) for order, _, entry in found if entry.section == "actions"}
        fired = [
            reference.Fired(order, policy, entry, entry.section == "default" and (order, entry.action) in overridden)
            for order, policy, entry in found
        ]
        return said(plan) == reference.plan(fired, event, self._options)


def said(plan: Any) -> list[dict[str, Any]]:
    """Return what a plan says of its actions, as far as the specification says it."""
    return [
        {
            "action": action.name,
            "parameters": action.parameters,
            "disposition": action.disposition,
            "sources": [
                {"policy": source.policy, "section": source.section, "index": source.index} for source in action.sources
            ],
        }
        for action in plan
    ]
