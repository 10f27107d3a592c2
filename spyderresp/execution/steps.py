"""The steps of a plan. Each step has a key, so that the journal can recognise a step that was taken before.

The key (docs/decisions/0030-steps-and-keys.md) is a digest of the event's ``id``, the action, its parameters, its
target, and for flags the policy. It does not depend on the policy set: an event that is delivered again after a reload
gives the same keys.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from spyderresp.decision import IDENTITY, ActionPlan, PlannedAction, Source, Target
from spyderresp.errors import Location
from spyderresp.events.timestamps import epoch_seconds
from spyderresp.policies.vocabulary import FLAGS, Disposition

_canonical: Final = json.JSONEncoder(
    ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=True, default=repr
).encode


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a plan, with everything that is needed to carry it out.

    Attributes:
        key: a hexadecimal digest; equal for the same step of the same event.
        place: its index in the plan, from 0.
        action: the action, such as ``agentKillProcess``.
        items: the parameters of the action, as pairs of name and value.
        disposition: the plan's disposition, such as ``execute``.
        sources: the policy entries that asked for the action.
        target: the process, pod and so on that the event names; None: the event names nothing.
        event: the event's ``id``, or None.
        event_time: the event's ``time`` in epoch seconds; None: it has none, or none that can be read.
        arrived: when the event arrived, in epoch seconds.
        policy_set: the digest of the policies that decided.
        plan: the digest of the plan's JSON form.
        because: the plan's reason for the disposition, or None.
        superseded_by: the index of the action that supersedes this one, or None.
        record: the fields of the event that may leave with a flag (``spyderresp.execution.flags``).
        time_unreadable: whether the event has a ``time`` that cannot be read, so that its age is not known.
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
        """The parameters of the action, as a new dict."""
        return dict(self.items)

    @property
    def is_flag(self) -> bool:
        """Whether the action raises a flag. All other actions act on a process or a pod."""
        return self.action in FLAGS

    @property
    def policies(self) -> tuple[str, ...]:
        """The names of the policies that asked for the action, each once, in the order of ``sources``."""
        return tuple(dict.fromkeys(source.policy for source in self.sources))

    def value(self, path: str) -> str | int | float | bool | None:
        """Return the target's value at a path, or None.

        ::

            step.value("process.pid")

        Raises:
            KeyError: no target has this path.
        """
        return None if self.target is None else self.target[path]

    def to_dict(self) -> dict[str, Any]:
        """Return the step as JSON data, for ``from_dict``."""
        data = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "items"}
        return data | {
            "parameters": self.parameters,
            "sources": [
                {
                    "policy": source.policy,
                    "uid": source.uid,
                    "section": source.section,
                    "index": source.index,
                    "location": list(source.location),
                }
                for source in self.sources
            ],
            "target": None if self.target is None else self.target.to_dict(),
            "record": None if self.record is None else dict(self.record),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Step:
        """Return the step for JSON data of ``to_dict``.

        Raises:
            KeyError, TypeError, ValueError: ``data`` does not describe a step.
        """
        plain = dict(data)
        parameters, sources, target = plain.pop("parameters"), plain.pop("sources"), plain.pop("target")
        return cls(
            **plain,
            items=tuple(parameters.items()),
            sources=tuple(Source(**{**source, "location": Location(*source["location"])}) for source in sources),
            target=None if target is None else target_from_dict(target),
        )


def target_from_dict(data: Mapping[str, Mapping[str, Any]]) -> Target:
    """Return the target for JSON data of ``Target.to_dict``. Values that are not in the data are absent."""
    return Target([(data.get(scope) or {}).get(key) for scope, keys in IDENTITY for key in keys])


def steps_of(
    plan: ActionPlan, *, arrived: float, event: Mapping[str, Any] | None = None, record: Mapping[str, Any] | None = None
) -> tuple[Step, ...]:
    """Return the steps of a plan, in the plan's order.

    Args:
        plan: the plan.
        arrived: when the event arrived, in epoch seconds.
        event: the event. If it has no ``id``, the keys of the steps depend on its content.
        record: the fields of the event that may leave with a flag.
    """
    target = plan.target
    target_data = None if target is None else target.to_dict()
    event_identity = _event_identity(plan, event, target_data)
    digest = hashlib.sha256(plan.to_json().encode()).hexdigest()
    event_time = epoch_seconds(plan.time)
    return tuple(
        Step(
            key=_key(action, event_identity, target_data),
            place=place,
            action=action.name,
            items=action.items,
            disposition=action.disposition,
            sources=action.sources,
            target=target,
            event=plan.event,
            event_time=event_time,
            arrived=arrived,
            policy_set=plan.policy_set,
            plan=digest,
            because=action.reason,
            superseded_by=action.superseded_by,
            record=record,
            time_unreadable=event_time is None and plan.time is not None,
        )
        for place, action in enumerate(plan)
    )


def _event_identity(plan: ActionPlan, event: Mapping[str, Any] | None, target: Any) -> tuple[str, Any]:
    """Return the event's id; without one the digest of its content; without its content its time and target."""
    if plan.event is not None:
        return "id", plan.event
    if event is not None:
        return "event", hashlib.sha256(_canonical(event).encode()).hexdigest()
    return "plan", [plan.time, target]


def _key(action: PlannedAction, event_identity: tuple[str, Any], target: Any) -> str:
    parts = [*event_identity, action.name, action.items, target]
    if action.name in FLAGS:
        # Flags merge within one policy only, so the first source names the policy.
        parts += [action.sources[0].policy, action.sources[0].uid]
        if event_identity[0] == "plan":
            # Two events can have the same time and target. A repeated flag does less harm than a lost one.
            parts.append(os.urandom(16).hex())
    return hashlib.sha256(_canonical(parts).encode()).hexdigest()
