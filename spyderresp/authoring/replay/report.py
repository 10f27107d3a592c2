"""A replay as one value: what reports are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Final

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Line:
    """How often something was planned.

    Attributes:
        what: its names: of a policy, of an entry, of an action.
        dispositions: how often with each disposition.
    """

    what: Mapping[str, Any]
    dispositions: Counts

    @property
    def total(self) -> int:
        """How often altogether."""
        return sum(self.dispositions.values())


@dataclass(frozen=True, slots=True)
class Deaths:
    """Pods or processes that would have died.

    Attributes:
        executed: distinct ones of which a kill is carried out.
        audited: distinct ones of which one is only audited.
    """

    executed: int
    audited: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """A stretch of time.

    Attributes:
        start: epoch seconds.
        events: how many.
        actions: by name and disposition.
    """

    start: int
    events: int
    actions: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class KillTarget:
    """One pod or process that is killed.

    Attributes:
        pod: whether it is a pod.
        name: its name; where it has none, what identifies it.
        namespace: its namespace; None without one.
        executed: how many kills of it are executed.
        audited: how many are only audited.
    """

    pod: bool
    name: str
    namespace: str | None
    executed: int = 0
    audited: int = 0


@dataclass(frozen=True, slots=True)
class BreakerTrip:
    """A breaker that would have raised its ops flag.

    Attributes:
        time: epoch seconds.
        name: such as ``overall`` or ``namespace shop``.
        limit: how many targets it allows.
        refused: how many kills it refused from then on, until its next.
    """

    time: float
    name: str
    limit: int
    refused: int


@dataclass(frozen=True, slots=True)
class BreakerReplay:
    """What breakers would have done.

    Attributes:
        openings: in order of time.
        refused: kills refused by any of them.
        allowed: all other kills.
    """

    openings: tuple[BreakerTrip, ...]
    refused: int
    allowed: int


@dataclass(frozen=True, slots=True)
class Report:
    """What policies would have done.

    Attributes:
        policy_set: their digest.
        events: how many were decided.
        bad: how many could not be.
        timeless: how many have no time that can be read.
        acted: how many have any action.
        actions: by action.
        policies: by policy; an action counts for each policy that asked for it.
        entries: by entry, likewise.
        pods: those that would have died.
        processes: likewise.
        unknown: kills whose target nothing tells from others; not among these.
        targets: the most target.
        namespaces: kills in force by namespace, executed and audited; the most target.
        broken: what breakers would have done.
        width: seconds of a bucket.
        buckets: the timeline, without empty buckets.
    """

    policy_set: str
    events: int
    bad: int
    timeless: int
    acted: int
    actions: tuple[Line, ...]
    policies: tuple[Line, ...]
    entries: tuple[Line, ...]
    pods: Deaths
    processes: Deaths
    unknown: int
    targets: tuple[KillTarget, ...]
    namespaces: tuple[tuple[str | None, int, int], ...]
    broken: BreakerReplay
    width: int
    buckets: tuple[Bucket, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data, version 1."""
        return {
            "version": 1,
            "policy_set": self.policy_set,
            "events": self.events,
            "bad": self.bad,
            "timeless": self.timeless,
            "acted": self.acted,
            "actions": [_said(line) for line in self.actions],
            "policies": [_said(line) for line in self.policies],
            "entries": [_said(line) for line in self.entries],
            "deaths": {"pods": asdict(self.pods), "processes": asdict(self.processes), "unidentified": self.unknown},
            "targets": [
                {"kind": "pod" if target.pod else "process", "name": target.name, "namespace": target.namespace}
                | {"executed": target.executed, "audited": target.audited}
                for target in self.targets
            ],
            "namespaces": [
                {"namespace": name, "executed": executed, "audited": audited}
                for name, executed, audited in self.namespaces
            ],
            "breakers": {
                "refused": self.broken.refused,
                "allowed": self.broken.allowed,
                "openings": [
                    {"time": moment(one.time), "breaker": one.name, "limit": one.limit, "refused": one.refused}
                    for one in self.broken.openings
                ],
            },
            "timeline": {
                "seconds": self.width,
                "buckets": [
                    {"time": moment(bucket.start), "events": bucket.events, "actions": _nested(bucket.actions)}
                    for bucket in self.buckets
                ],
            },
        }


def moment(seconds: float) -> str:
    """Return epoch seconds as RFC 3339 text; as a number where the calendar does not go so far."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"


def _said(line: Line) -> dict[str, Any]:
    return {**line.what, "count": line.total, "dispositions": dict(line.dispositions)}


def _nested(actions: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (name, disposition), count in sorted(actions.items()):
        nested.setdefault(name, {})[disposition] = count
    return nested


_WIDTHS: Final = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


def width_text(width: int) -> str:
    """Return the length of a bucket for people."""
    for seconds, name in _WIDTHS:
        if width % seconds == 0:
            count = width // seconds
            return name if count == 1 else f"{count} {name}s"
    return f"{width} seconds"
