"""A replay as one value: what reports are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Final

from spyderresp.authoring.replay import KillTarget, Replay
from spyderresp.authoring.replay.kills import BreakerReplay

#: How many of the most struck targets and namespaces are told by name.
MOST_TOLD: Final = 20
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
        targets: the most struck.
        namespaces: kills in force by namespace, executed and audited; the most struck.
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
                {"kind": "pod" if struck.pod else "process", "name": struck.name, "namespace": struck.namespace}
                | {"executed": struck.executed, "audited": struck.audited}
                for struck in self.targets
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


def report_of(replay: Replay, policy_set: str, *, bad: int) -> Report:
    """Return the report of a replay.

    Args:
        replay: what was gathered.
        policy_set: the digest of the policies.
        bad: how many events could not be decided.
    """
    actions: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    policies: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    entries: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    scoped: dict[str, int] = defaultdict(int)
    acted = 0
    for outcome, count in replay.outcomes():
        acted += count if outcome.actions else 0
        for name in dict.fromkeys(outcome.policies):
            scoped[name] += count
        for action in outcome.actions:
            actions[action.name][action.disposition] += count
            for name in dict.fromkeys(source.policy for source in action.sources):
                policies[name][action.disposition] += count
            for source in action.sources:
                key = source.policy, source.section, source.index, action.name, str(source.location)
                entries[key][action.disposition] += count
    pods, processes = replay.kills.deaths()
    names = ("policy", "section", "index", "action", "location")
    return Report(
        policy_set=policy_set,
        events=replay.events,
        bad=bad,
        timeless=replay.timeless,
        acted=acted,
        actions=tuple(_lines((({"action": name}, held) for name, held in actions.items()))),
        policies=tuple(_lines(({"policy": name, "in_scope": scoped[name]}, policies.get(name, {})) for name in scoped)),
        entries=tuple(_lines((dict(zip(names, key, strict=True)), held) for key, held in entries.items())),
        pods=Deaths(*pods),
        processes=Deaths(*processes),
        unknown=replay.kills.unknown,
        targets=tuple(KillTarget(*one) for one in replay.kills.most_struck(MOST_TOLD)),
        namespaces=tuple(sorted(replay.kills.namespaces(), key=_most)[:MOST_TOLD]),
        broken=replay.broken(),
        width=replay.width,
        buckets=tuple(Bucket(*bucket) for bucket in replay.buckets()),
    )


def _lines(items: Any) -> list[Line]:
    lines = [Line(what, dict(sorted(held.items()))) for what, held in items]
    return sorted(lines, key=lambda line: (-line.total, str(line.what)))


def _most(namespace: tuple[str | None, int, int]) -> tuple[int, int, str]:
    name, executed, audited = namespace
    return -executed, -audited, name or ""


_WIDTHS: Final = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


def width_text(width: int) -> str:
    """Return the length of a bucket for people."""
    for seconds, name in _WIDTHS:
        if width % seconds == 0:
            count = width // seconds
            return name if count == 1 else f"{count} {name}s"
    return f"{width} seconds"
