"""A plan as steps: what is carried out, journaled and reported, each with the key that makes it happen once.

The key (docs/decisions/0030-steps-and-keys.md) is a digest of the event's ``id``, the action, its parameters, its
target, and for flags the policy. The policy set is not in it: an event that comes again after a reload is the same
event.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from spyderresp.decision import IDENTITY, ActionPlan, PlannedAction, Source, Target
from spyderresp.errors import Location
from spyderresp.events.timestamps import epoch_seconds
from spyderresp.policies.vocabulary import FLAGS, Disposition, Section

_canonical: Final = json.JSONEncoder(
    ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=True, default=repr
).encode


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a plan, on its way to be carried out.

    Attributes:
        key: says that two steps are the same one; a hexadecimal digest.
        place: its place in the plan, from 0.
        action: such as ``agentKillProcess``.
        items: the action's parameters as pairs.
        disposition: the plan's.
        sources: every policy entry that asked for it.
        target: who the event is about; None where the event says nothing of it.
        event: the event's ``id``, or None.
        event_time: the event's ``time`` in epoch seconds; None where it has none, or none that can be read.
        arrived: when the event came, in epoch seconds.
        policy_set: the digest of the policies that decided.
        plan: names the plan: a digest of its JSON form.
        because: the plan's reason for the disposition, or None.
        superseded_by: the place of the action that makes this one pointless, or None.
        record: the allow-listed fields of the event that may leave with a flag (``spyderresp.execution.flags``).
        time_unreadable: whether the event has a ``time`` that is none: its age cannot be known.
    """

    key: str
    place: int
    action: str
    items: tuple[tuple[str, str | int], ...]
    disposition: Disposition
    sources: tuple[Source, ...]
    target: Target | None
    event: Any
    event_time: float | None
    arrived: float
    policy_set: str
    plan: str
    because: str | None = None
    superseded_by: int | None = None
    record: Mapping[str, Any] | None = None
    time_unreadable: bool = False

    @property
    def parameters(self) -> dict[str, str | int]:
        """The action's own fields, as a new dict."""
        return dict(self.items)

    @property
    def is_flag(self) -> bool:
        """Whether it raises a flag; else it acts on a process or a pod."""
        return self.action in FLAGS

    @property
    def policies(self) -> tuple[str, ...]:
        """The names of the policies that asked for it, each once, in source order."""
        return tuple(dict.fromkeys(source.policy for source in self.sources))

    def value(self, path: str) -> str | int | float | bool | None:
        """Return what the event gives at a path of the target such as ``process.pid``, or None."""
        return None if self.target is None else self.target[path]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data; ``from_dict`` makes an equal step of it."""
        return {
            "key": self.key,
            "place": self.place,
            "action": self.action,
            "parameters": self.parameters,
            "disposition": self.disposition,
            "sources": [_source_to_dict(source) for source in self.sources],
            "target": None if self.target is None else self.target.to_dict(),
            "event": self.event,
            "event_time": self.event_time,
            "arrived": self.arrived,
            "policy_set": self.policy_set,
            "plan": self.plan,
            "because": self.because,
            "superseded_by": self.superseded_by,
            "record": None if self.record is None else dict(self.record),
            "time_unreadable": self.time_unreadable,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Step:
        """Return the step that ``to_dict`` made ``data`` of.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        held = dict(data)
        parameters, sources, target = held.pop("parameters"), held.pop("sources"), held.pop("target")
        return cls(
            **held,
            items=tuple(parameters.items()),
            sources=tuple(_source_from_dict(source) for source in sources),
            target=None if target is None else target_from_dict(target),
        )


def _source_to_dict(source: Source) -> dict[str, Any]:
    return {
        "policy": source.policy,
        "uid": source.uid,
        "section": source.section,
        "index": source.index,
        "location": list(source.location),
    }


def _source_from_dict(data: Mapping[str, Any]) -> Source:
    section = cast("Section", data["section"])
    return Source(data["policy"], data["uid"], section, data["index"], Location(*data["location"]))


def target_from_dict(data: Mapping[str, Mapping[str, Any]]) -> Target:
    """Return the target that says what ``data`` says, by scope, as ``Target.to_dict`` gives it; the rest is absent."""
    return Target([(data.get(scope) or {}).get(key) for scope, keys in IDENTITY for key in keys])


def steps_of(
    plan: ActionPlan, *, arrived: float, event: Mapping[str, Any] | None = None, record: Mapping[str, Any] | None = None
) -> tuple[Step, ...]:
    """Return the steps of a plan, in its order.

    Args:
        plan: what ``Engine.evaluate`` returned.
        arrived: when the event came, in epoch seconds.
        event: the event itself, where it is at hand: without an ``id`` it is known again by its content.
        record: what may leave with a flag.
    """
    target = plan.target
    said = None if target is None else target.to_dict()
    text = plan.to_json()
    known = _known_by(plan, event, said)
    digest = hashlib.sha256(text.encode()).hexdigest()
    moment = epoch_seconds(plan.time)
    return tuple(
        Step(
            key=_key(action, known, said),
            place=place,
            action=action.name,
            items=action.items,
            disposition=action.disposition,
            sources=action.sources,
            target=target,
            event=plan.event,
            event_time=moment,
            arrived=arrived,
            policy_set=plan.policy_set,
            plan=digest,
            because=action.reason,
            superseded_by=action.superseded_by,
            record=record,
            time_unreadable=moment is None and plan.time is not None,
        )
        for place, action in enumerate(plan)
    )


def _known_by(plan: ActionPlan, event: Mapping[str, Any] | None, target: Any) -> tuple[str, Any]:
    """Return what names the event: its id; else its content; else, for agent actions, its time and target."""
    if plan.event is not None:
        return "id", plan.event
    if event is not None:
        return "event", hashlib.sha256(_canonical(event).encode()).hexdigest()
    return "plan", [plan.time, target]


def _key(action: PlannedAction, known: tuple[str, Any], target: Any) -> str:
    parts = [*known, action.name, action.items, target]
    if action.name in FLAGS:
        # A flag merges within one policy only, so its first source names it.
        parts += [action.sources[0].policy, action.sources[0].uid]
        if known[0] == "plan":
            # Nothing tells whether this event came before: two flags are better than none.
            parts.append(os.urandom(16).hex())
    return hashlib.sha256(_canonical(parts).encode()).hexdigest()
