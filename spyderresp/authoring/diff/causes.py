"""Finds the entry behind a change and, for an example event, the clause that decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from spyderresp.authoring.diff.changes import Change, Counterparts
from spyderresp.decision.engine import Engine
from spyderresp.decision.explain import Explanation
from spyderresp.errors import Location
from spyderresp.policies.policy_set import Entry, Policy

Side = Literal["old", "new"]


@dataclass(frozen=True)
class Cause:
    """The entry behind a change.

    Attributes:
        flip: ``asks``: the entry plans the action now, and did not before; ``asks-no-more``: the other way round;
            ``mode``: the mode of its policy changed; ``beside``: the entry did not change, and another action of the
            plan causes the change.
        side: the set that ``policy`` and ``entry`` are from.
        policy: the policy of the entry.
        entry: the entry.
    """

    flip: Literal["asks", "asks-no-more", "mode", "beside"]
    side: Side
    policy: Policy
    entry: Entry

    @property
    def key(self) -> tuple[Any, ...]:
        """A key that is equal for equal causes."""
        return self.flip, self.side, id(self.policy), self.entry.section, self.entry.index


@dataclass(frozen=True, slots=True)
class Reason:
    """The reason of a change for one event.

    Attributes:
        text: the reason, for people.
        side: the set that it is about.
        location: the location in that set of what decided; None: there is none.
    """

    text: str
    side: Side
    location: Location | None

    def to_dict(self) -> dict[str, Any]:
        """Return the reason as JSON data."""
        return {"text": self.text, "set": self.side, "location": None if self.location is None else str(self.location)}


class Causes:
    """Finds the causes of changes between the policies of two engines."""

    def __init__(self, old: Engine, new: Engine) -> None:
        self._engines: Mapping[Side, Engine] = {"old": old, "new": new}
        self.counterparts = Counterparts(old.policies, new.policies)
        self._indexes = {
            side: {id(policy): index for index, policy in enumerate(engine.policies)}
            for side, engine in self._engines.items()
        }

    @cached_property
    def _sources(self) -> dict[tuple[Any, ...], tuple[Policy, Entry]]:
        """All entries by the fields of a plan's source. Of entries with equal fields, the first one counts."""
        sources: dict[tuple[Any, ...], tuple[Policy, Entry]] = {}
        for side, engine in self._engines.items():
            for policy in engine.policies:
                for entry in policy.entries:
                    key = side, policy.name, policy.uid, entry.section, entry.index
                    sources.setdefault((*key, entry.location), (policy, entry))
                    sources.setdefault(key, (policy, entry))
        return sources

    def _entry(self, side: Side, source: Any) -> tuple[Policy, Entry]:
        key = side, source.policy, source.uid, source.section, source.index
        return self._sources.get((*key, source.location)) or self._sources[key]

    def counterpart(self, side: Side, policy: Policy, entry: Entry) -> tuple[Policy, Entry] | None:
        """Return the counterpart of an entry in the other set, with its policy."""
        return self.counterparts.entry(policy, entry.section, entry.index, is_new=side == "new")

    def of(self, change: Change) -> Cause:
        """Return the entry behind a change; if there are several, the first one."""
        before = [self._entry("old", source) for source in change.old_sources]
        after = [self._entry("new", source) for source in change.new_sources]
        if change.old is None:
            return Cause("asks", "new", *after[0])
        if change.new is None:
            return Cause("asks-no-more", "old", *before[0])
        for policy, entry in after:
            if not _contains(before, self.counterpart("new", policy, entry)):
                return Cause("asks", "new", policy, entry)
        for policy, entry in before:
            if not _contains(after, self.counterpart("old", policy, entry)):
                return Cause("asks-no-more", "old", policy, entry)
        for policy, entry in after:
            counterpart = self.counterpart("new", policy, entry)
            if counterpart is not None and counterpart[0].mode != policy.mode:
                return Cause("mode", "new", policy, entry)
        return Cause("beside", "new", *after[0])

    def reason(self, change: Change, cause: Cause, explained: Explained) -> Reason:
        """Return the reason of a change for one event.

        Raises:
            EventError: one of the engines rejects the event.
        """
        counterpart = self.counterpart(cause.side, cause.policy, cause.entry)
        if cause.flip == "mode":
            before = "" if counterpart is None else counterpart[0].mode
            return Reason(f"the policy's mode was {before} and is {cause.policy.mode}", "new", cause.policy.location)
        if cause.flip == "beside":
            return self._other_action(change, explained)
        other_side: Side = "old" if cause.side == "new" else "new"
        what = "new" if other_side == "old" else "gone"
        if self.counterparts.policy(cause.policy, is_new=cause.side == "new") is None:
            return Reason(f"the policy is {what}", cause.side, cause.policy.location)
        if counterpart is None:
            return Reason(f"the entry is {what}", cause.side, cause.entry.location)
        reason = self._not_fired(other_side, *counterpart, explained)
        if reason is not None:
            return reason
        entry = counterpart[1]
        if (entry.action, entry.parameters) == (change.action, change.items):
            return self._other_action(change, explained)
        planned = entry.action + "".join(f" {name}={value}" for name, value in entry.parameters)
        when = "before it planned" if other_side == "old" else "now it plans"
        return Reason(f"{when} {planned}", other_side, entry.location)

    def _not_fired(self, side: Side, policy: Policy, entry: Entry, explained: Explained) -> Reason | None:
        """Return why an entry does not fire for an event; None if it fires."""
        explanation = explained.by(side).policies[self._indexes[side][id(policy)]]
        if not explanation.in_scope:
            return Reason(explanation.reason, side, (explanation.deciding or explanation).location)
        for item in explanation.entries:
            if (item.section, item.index) == (entry.section, entry.index):
                return None if item.fired else Reason(item.reason, side, (item.deciding or item).location)
        return None

    @staticmethod
    def _other_action(change: Change, explained: Explained) -> Reason:
        """Return the reason that one of the plans gives for the disposition of the action."""
        side: Side
        for side, disposition in (("new", change.new), ("old", change.old)):
            for action in explained.by(side).plan:
                planned = action.name, action.items, action.disposition
                if planned == (change.action, change.items, disposition) and action.reason is not None:
                    when = "now" if side == "new" else "before"
                    return Reason(f"{when} {action.reason}", side, None)
        return Reason("another action of the plan, or an option, makes the difference", "new", None)


def _contains(entries: list[tuple[Policy, Entry]], entry: tuple[Policy, Entry] | None) -> bool:
    return entry is not None and any(entry[0] is policy and entry[1] is item for policy, item in entries)


class Explained:
    """The explanations of one event by both engines; each is made when it is needed."""

    def __init__(self, old: Engine, new: Engine, event: Any) -> None:
        self._engines: Mapping[Side, Engine] = {"old": old, "new": new}
        self._event = event
        self._explanations: dict[Side, Explanation] = {}

    def by(self, side: Side) -> Explanation:
        """Return the explanation by one engine.

        Raises:
            EventError: the engine rejects the event.
        """
        if side not in self._explanations:
            self._explanations[side] = self._engines[side].explain(self._event)
        return self._explanations[side]
