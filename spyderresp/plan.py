"""What fired, to a plan's shape: merge, order, dispositions (semantics, section 5).

The values themselves are native (``_native.plan``): a shape is built here once for each set of fired entries, and
shared by every plan in which just those fired.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from spyderresp._native.plan import ActionPlan, PlannedAction, PlanShape, Source, Target
from spyderresp.policy import Entry, Policy
from spyderresp.vocabulary import FLAGS, STAGES, TARGET_SCOPE, Disposition

Defaults = Literal["always", "unless-overridden"]

_WIDER_KILLS: Final = ("agentKillProcessGroup", "agentKillProcessTree")


class Fired(NamedTuple):
    """One entry that fired, with its policy and that policy's place in the set."""

    order: int
    policy: Policy
    entry: Entry


class _Group(NamedTuple):
    """Fired entries that become one planned action."""

    items: tuple[Fired, ...]
    set_aside: bool
    disposition: Disposition
    reason: str | None

    @property
    def entry(self) -> Entry:
        return self.items[0].entry

    @property
    def live(self) -> bool:
        return self.disposition in ("execute", "audit")

    @property
    def priority(self) -> int:
        return int(dict(self.entry.parameters)["priority"])


class Arranger:
    """Builds plan shapes for one policy set and its options.

    Args:
        policies: the enabled policies, in order, each with its enabled entries in order.
        defaults: whether an override sets a default entry aside.
        audit: treat every policy as one in audit mode.
    """

    def __init__(
        self, policies: Sequence[tuple[Policy, tuple[Entry, ...]]], defaults: Defaults, *, audit: bool
    ) -> None:
        self._policies = [policy for policy, _ in policies]
        self._entries = [
            Fired(order, policy, entry) for order, (policy, entries) in enumerate(policies) for entry in entries
        ]
        self._defaults = defaults
        self._audit = audit

    def shape(self, policies: Sequence[int], entries: Sequence[int], *, pod: bool, process: bool) -> PlanShape:
        """Return the shape of the plans in which just these policies are in scope and just these entries fired.

        Args:
            policies: places of the enabled policies in scope, ascending.
            entries: places of the fired entries among all enabled entries of all enabled policies, ascending.
            pod: whether the event has a pod.
            process: whether the event has a process.
        """
        fired = [self._entries[place] for place in entries]
        missing = {scope for scope, present in (("pod", pod), ("process", process)) if not present}
        groups = [self._group(items, aside, missing) for items, aside in _merge(fired, self._overridden(fired))]
        groups.sort(key=_order)
        overriders = _overriders(groups)
        actions = tuple(_planned(group, groups, overriders) for group in groups)
        return PlanShape(tuple(self._policies[place].name for place in policies), actions)

    def _overridden(self, fired: Iterable[Fired]) -> set[tuple[int, str]]:
        """Return policy and action name of the fired ``actions`` entries that set defaults aside."""
        if self._defaults == "always":
            return set()
        return {(item.order, item.entry.action) for item in fired if item.entry.section == "actions"}

    def _group(self, items: tuple[Fired, ...], set_aside: bool, missing: set[str]) -> _Group:
        scope = TARGET_SCOPE.get(items[0].entry.action)
        if scope in missing:
            return _Group(items, set_aside, "not_applicable", f"the event has no {scope}")
        if set_aside:
            return _Group(items, set_aside, "superseded", "an entry of the same name fired under `actions`")
        enforced = not self._audit and any(item.policy.mode == "enforce" for item in items)
        return _Group(items, set_aside, "execute" if enforced else "audit", None)


def _merge(fired: Iterable[Fired], overridden: set[tuple[int, str]]) -> list[tuple[tuple[Fired, ...], bool]]:
    """Put together what becomes one action: agent actions over all policies, flags within one policy only."""
    merged: dict[tuple[object, ...], list[Fired]] = {}
    for item in fired:
        entry = item.entry
        aside = entry.section == "default" and (item.order, entry.action) in overridden
        owner = item.order if entry.action in FLAGS else None
        merged.setdefault((aside, owner, entry.action, entry.parameters), []).append(item)
    return [(tuple(items), bool(key[0])) for key, items in merged.items()]


def _order(group: _Group) -> tuple[int, int, bool, int, bool]:
    first = group.items[0]
    entry = first.entry
    return STAGES[entry.action], first.order, entry.section == "actions", entry.index, group.set_aside


def _overriders(groups: Sequence[_Group]) -> dict[tuple[int, str], int]:
    """Return, for a policy and an action name, the place of the first action that an ``actions`` entry asked for."""
    places: dict[tuple[int, str], int] = {}
    for place, group in enumerate(groups):
        if not group.set_aside:
            for item in group.items:
                if item.entry.section == "actions":
                    places.setdefault((item.order, item.entry.action), place)
    return places


def _planned(group: _Group, groups: Sequence[_Group], overriders: dict[tuple[int, str], int]) -> PlannedAction:
    entry = group.entry
    sources = tuple(
        Source(item.policy.name, item.policy.uid, item.entry.section, item.entry.index, item.entry.location)
        for item in group.items
    )
    disposition, reason, by = group.disposition, group.reason, None
    if disposition == "superseded":
        by = min(overriders[item.order, entry.action] for item in group.items)
    elif group.live:
        by = _superseder(group, groups)
        if by is not None:
            disposition = "superseded"
            other = groups[by].entry.action
            reason = "a higher nice value stays" if other == entry.action else f"{other} kills the process too"
    return PlannedAction(entry.action, entry.parameters, disposition, sources, by, reason)


def _superseder(group: _Group, groups: Sequence[_Group]) -> int | None:
    """Return the place of the live action that makes this live one pointless; audit never does so to execute."""
    action = group.entry.action
    rivals = _WIDER_KILLS if action == "agentKillProcess" else (action,) if action == "agentReniceProcess" else ()
    if not rivals:
        return None
    places = [
        place
        for place, other in enumerate(groups)
        if other.entry.action in rivals
        and other.live
        and not (other.disposition == "audit" and group.disposition == "execute")
    ]
    if action == "agentKillProcess":
        return places[0] if places else None
    highest = max(places, key=lambda place: groups[place].priority)
    return highest if groups[highest].priority > group.priority else None


__all__ = ["ActionPlan", "Arranger", "Defaults", "PlanShape", "PlannedAction", "Source", "Target"]
