"""What flipped: the entry behind a change, and, on a sample event, the clause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from spyderresp.authoring.diff.changes import Change, Counterparts
from spyderresp.decision.engine import Engine
from spyderresp.decision.explain import Explanation
from spyderresp.errors import EventError, Location
from spyderresp.policies.policy_set import Entry, Policy

Side = Literal["old", "new"]


@dataclass(frozen=True)
class Cause:
    """The entry behind a change.

    Attributes:
        flip: ``asks``: it asks for the action now, and did not before; ``asks-no-more``; ``mode``: its policy's mode
            changed; ``beside``: it asks as before, and another action of the plan makes the difference.
        side: the set that the entry is looked at in.
        policy: its policy.
        entry: the entry.
    """

    flip: Literal["asks", "asks-no-more", "mode", "beside"]
    side: Side
    policy: Policy
    entry: Entry

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells causes apart."""
        return self.flip, self.side, id(self.policy), self.entry.section, self.entry.index


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something flipped, for one event.

    Attributes:
        text: for people.
        side: the set in which that is so.
        location: where what decided it stands there; None where nothing does.
    """

    text: str
    side: Side
    location: Location | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"text": self.text, "set": self.side, "location": None if self.location is None else str(self.location)}


class Causes:
    """Finds what flipped between the policies of two engines."""

    def __init__(self, old: Engine, new: Engine) -> None:
        self._engines: Mapping[Side, Engine] = {"old": old, "new": new}
        self.counterparts = Counterparts(old.policies, new.policies)
        self._places = {
            side: {id(policy): place for place, policy in enumerate(engine.policies)}
            for side, engine in self._engines.items()
        }

    @cached_property
    def _sources(self) -> dict[tuple[Any, ...], tuple[Policy, Entry]]:
        """Entries by what a plan says of them; of two that a plan does not tell apart, the first."""
        found: dict[tuple[Any, ...], tuple[Policy, Entry]] = {}
        for side, engine in self._engines.items():
            for policy in engine.policies:
                for entry in policy.entries:
                    key = side, policy.name, policy.uid, entry.section, entry.index
                    found.setdefault((*key, entry.location), (policy, entry))
                    found.setdefault(key, (policy, entry))
        return found

    def _entry(self, side: Side, source: Any) -> tuple[Policy, Entry]:
        key = side, source.policy, source.uid, source.section, source.index
        return self._sources.get((*key, source.location)) or self._sources[key]

    def other(self, side: Side, policy: Policy, entry: Entry) -> tuple[Policy, Entry] | None:
        """Return the same entry of the other set."""
        return self.counterparts.entry(policy, entry.section, entry.index, is_new=side == "new")

    def of(self, change: Change) -> Cause:
        """Return the entry behind a change; of several, the first."""
        before = [self._entry("old", source) for source in change.old_sources]
        after = [self._entry("new", source) for source in change.new_sources]
        if change.old is None:
            return Cause("asks", "new", *after[0])
        if change.new is None:
            return Cause("asks-no-more", "old", *before[0])
        for policy, entry in after:
            if not _among(self.other("new", policy, entry), before):
                return Cause("asks", "new", policy, entry)
        for policy, entry in before:
            if not _among(self.other("old", policy, entry), after):
                return Cause("asks-no-more", "old", policy, entry)
        for policy, entry in after:
            twin = self.other("new", policy, entry)
            if twin is not None and twin[0].mode != policy.mode:
                return Cause("mode", "new", policy, entry)
        return Cause("beside", "new", *after[0])

    def reason(self, change: Change, cause: Cause, explained: Explained) -> Reason:
        """Return why something flipped for one event."""
        if cause.flip == "mode":
            twin = self.other("new", cause.policy, cause.entry)
            before = "" if twin is None else twin[0].mode
            return Reason(f"the policy's mode was {before} and is {cause.policy.mode}", "new", cause.policy.location)
        if cause.flip == "beside":
            return self._beside(change, explained)
        away: Side = "old" if cause.side == "new" else "new"
        twin = self.other(cause.side, cause.policy, cause.entry)
        if self.counterparts.policy(cause.policy, is_new=cause.side == "new") is None:
            return Reason(
                "the policy is new" if away == "old" else "the policy is gone", cause.side, cause.policy.location
            )
        if twin is None:
            return Reason(
                "the entry is new" if away == "old" else "the entry is gone", cause.side, cause.entry.location
            )
        silent = self._silent(away, *twin, explained)
        if silent is not None:
            return silent
        if (twin[1].action, twin[1].parameters) == (change.action, change.items):
            return self._beside(change, explained)
        return self._otherwise(away, twin[1])

    def _silent(self, side: Side, policy: Policy, entry: Entry, explained: Explained) -> Reason | None:
        """Return why an entry does not fire for an event; None where it does."""
        found = explained.by(side).policies[self._places[side][id(policy)]]
        if not found.in_scope:
            place = found.deciding.location if found.deciding is not None else found.location
            return Reason(found.reason, side, place)
        for item in found.entries:
            if (item.section, item.index) == (entry.section, entry.index):
                if item.fired:
                    return None
                return Reason(item.reason, side, item.deciding.location if item.deciding is not None else item.location)
        return None

    @staticmethod
    def _otherwise(away: Side, twin: Entry) -> Reason:
        said = twin.action + "".join(f" {name}={value}" for name, value in twin.parameters)
        when = "before it asked for" if away == "old" else "now it asks for"
        return Reason(f"{when} {said}", away, twin.location)

    @staticmethod
    def _beside(change: Change, explained: Explained) -> Reason:
        side: Side
        for side, disposition in (("new", change.new), ("old", change.old)):
            for action in explained.by(side).plan:
                said = action.name, action.items, action.disposition
                if said == (change.action, change.items, disposition) and action.reason is not None:
                    when = "now" if side == "new" else "before"
                    return Reason(f"{when} {action.reason}", side, None)
        return Reason("another action of the plan, or an option, makes the difference", "new", None)


def _among(found: tuple[Policy, Entry] | None, entries: list[tuple[Policy, Entry]]) -> bool:
    return found is not None and any(found[0] is policy and found[1] is entry for policy, entry in entries)


class Explained:
    """Explanations of one event by both engines, each made when it is asked for.

    Raises:
        EventError: by ``by``: the event is malformed where that engine checks it.
    """

    def __init__(self, old: Engine, new: Engine, event: Any) -> None:
        self._engines: Mapping[Side, Engine] = {"old": old, "new": new}
        self._event = event
        self._made: dict[Side, Explanation] = {}

    def by(self, side: Side) -> Explanation:
        """Return the explanation by one engine."""
        if side not in self._made:
            self._made[side] = self._engines[side].explain(self._event)
        return self._made[side]


__all__ = ["Cause", "Causes", "EventError", "Explained", "Reason", "Side"]
