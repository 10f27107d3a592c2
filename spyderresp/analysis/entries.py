"""The entries of a policy set as boxes: for which events each fires."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spyderresp.analysis.boxes import Box, of_selectors
from spyderresp.errors import Location
from spyderresp.policy import Entry, Policy, PolicySet
from spyderresp.vocabulary import TARGET_SCOPE


@dataclass(frozen=True)
class Place:
    """An enabled entry of an enabled policy.

    Attributes:
        order: the policy's place in the set.
        policy: the policy.
        entry: the entry.
        scope: the events in the policy's scope.
        box: the events for which the entry fires, none attributed to a policy.
        attributed: those attributed to this policy for which it fires: they may lack what the policy's own selectors
            name.
    """

    order: int
    policy: Policy
    entry: Entry
    scope: Box
    box: Box
    attributed: Box

    @property
    def name(self) -> str:
        """For people: ``web-containers: actions[0] agentKillPod``."""
        return f"{self.policy.name}: {self.entry.section}[{self.entry.index}] {self.entry.action}"

    @property
    def location(self) -> Location:
        """Where it stands."""
        return self.entry.location

    @property
    def live(self) -> str:
        """``execute`` or ``audit``, by the policy's own mode."""
        return "execute" if self.policy.mode == "enforce" else "audit"

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """The object that its action acts on, where it acts on one."""
        scope = TARGET_SCOPE.get(self.entry.action)
        return () if scope is None else (scope,)

    def attribution(self) -> dict[str, Any]:
        """Return what makes an event attributed to its policy."""
        if self.policy.uid is not None:
            return {"policy_uid": self.policy.uid}
        return {"policy_name": self.policy.name}


def places(policies: PolicySet, *, not_in_takes_absent: bool = True) -> Iterator[Place]:
    """Yield the enabled entries of enabled policies, in order."""
    for order, policy in enumerate(policies):
        if not policy.enabled:
            continue
        scope = of_selectors(policy.selectors, not_in_takes_absent=not_in_takes_absent)
        excused = of_selectors(policy.selectors, not_in_takes_absent=not_in_takes_absent, excused=True)
        for entry in policy.entries:
            if entry.enabled:
                own = of_selectors(entry.selectors, not_in_takes_absent=not_in_takes_absent)
                yield Place(order, policy, entry, scope, scope & own, excused & own)
