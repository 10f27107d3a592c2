"""A replay's totals the slow way: one plan after the other, in dicts, through the guard's own breakers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from spyderresp import ActionPlan
from spyderresp.authoring.replay.histogram import MOST, WIDTHS
from spyderresp.authoring.replay.kills import POD, PROCESS
from spyderresp.authoring.replay.totals import Replay
from spyderresp.events.timestamps import epoch_seconds
from spyderresp.execution.clock import Clock
from spyderresp.execution.guards.circuit_breakers import KILLS, Breakers, Limits
from spyderresp.policies.vocabulary import TARGET_SCOPE


def of_pod(target: Any) -> str:
    """Return what tells a pod from others: the Kubernetes UID, the vendor's, or namespace and name; or nothing."""
    for path in ("pod.kuid", "pod.uid"):
        if target[path] is not None:
            return str(target[path])
    return _joined(target, POD) if target["pod.name"] is not None else ""


def of_process(target: Any) -> str:
    """Return what tells a process from others: its uid, else machine, pid and start; else empty."""
    if target["process.uid"] is not None:
        return str(target["process.uid"])
    if target["process.pid"] is None:
        return ""
    return f"{_joined(target, PROCESS)}/{target['process.pid']}"


def _joined(target: Any, paths: tuple[str, ...]) -> str:
    return "/".join("" if target[path] is None else str(target[path]) for path in paths)


class Attempt(NamedTuple):
    time: float
    action: str
    policies: tuple[str, ...]
    target: str
    namespace: str | None


def breakers(attempts: Iterable[Attempt], limits: Limits) -> tuple[list[tuple[float, str, int, int]], int, int]:
    """Return openings, kills refused and kills allowed by the guard's breakers, stepped at the kills' own times."""
    ordered = sorted(attempts, key=lambda item: item.time)
    now = ordered[0].time if ordered else 0.0
    held = Breakers(limits, Clock(wall=lambda: now, steady=lambda: now, boot=lambda: "slow"))
    refused = 0
    openings: list[list[Any]] = []
    latest: dict[str, int] = {}
    for attempt in ordered:
        now = attempt.time
        shut = held.admit(attempt, attempt.target, attempt.namespace)
        refused += bool(shut)
        for item in shut:
            if item.alarm:
                latest[item.name] = len(openings)
                openings.append([now, item.name, item.limit, 0])
            openings[latest[item.name]][3] += 1
    return [(time, name, limit, count) for time, name, limit, count in openings], refused, len(ordered) - refused


def buckets(moments: list[tuple[float, Any]]) -> tuple[int, dict[int, dict[Any, int]]]:
    """Return the shortest width that makes few enough buckets, and what is in them."""
    for width in WIDTHS:
        made: dict[int, dict[Any, int]] = defaultdict(lambda: defaultdict(int))
        for second, what in moments:
            made[int(second // width) * width][what] += 1
        if len(made) <= MOST or width == WIDTHS[-1]:
            return width, {start: dict(made[start]) for start in sorted(made)}
    raise AssertionError


def totals(plans: Iterable[ActionPlan], limits: Limits | None = None) -> dict[str, Any]:
    """Return what a replay of the plans has to say."""
    events = timeless = unknown = 0
    outcomes: dict[Any, int] = defaultdict(int)
    moments: list[tuple[float, Any]] = []
    struck: dict[tuple[bool, str], list[Any]] = {}
    attempts: list[Attempt] = []
    for plan in plans:
        events += 1
        outcome = plan.outcome.policies, plan.outcome.actions
        outcomes[outcome] += 1
        seconds = epoch_seconds(plan.time)
        if seconds is None:
            timeless += 1
        else:
            moments.append((seconds, outcome))
        for action in plan:
            if action.name not in KILLS or action.disposition not in ("execute", "audit"):
                continue
            pod, executed = TARGET_SCOPE[action.name] == "pod", action.disposition == "execute"
            key = (of_pod if pod else of_process)(plan.target)
            space = plan.target["namespace.name"]
            space = None if space is None else str(space)
            if key:
                said = plan.target["pod.name" if pod else "process.name"]
                record = struck.setdefault((pod, key), [pod, key if said is None else str(said), space, 0, 0])
                record[3 if executed else 4] += 1
            else:
                unknown += 1
            if executed and seconds is not None:
                names = tuple(dict.fromkeys(source.policy for source in action.sources))
                attempts.append(Attempt(seconds, action.name, names, key and f"{pod} {key}", space))
    width, held = buckets(moments)
    spaces: dict[str | None, list[int]] = defaultdict(lambda: [0, 0])
    for _, _, space, executed_count, audited_count in struck.values():
        spaces[space][0] += executed_count
        spaces[space][1] += audited_count
    order = sorted(struck.values(), key=lambda one: (-one[3], -one[4], not one[0], one[2] or "", one[1]))
    return {
        "events": events,
        "timeless": timeless,
        "outcomes": dict(outcomes),
        "unknown": unknown,
        "struck": [tuple(one) for one in order],
        "namespaces": sorted(((name, *counts) for name, counts in spaces.items()), key=str),
        "width": width,
        "buckets": held,
        "broken": breakers(attempts, limits or Limits(warm_up_seconds=0)),
    }


def found(replay: Replay) -> dict[str, Any]:
    """Return what a replay says, as the slow way says it."""
    outcomes = [((outcome.policies, outcome.actions), count) for outcome, count in replay.outcomes()]
    numbers = dict(enumerate(outcome for outcome, _ in outcomes))
    part = replay.part()
    broken = replay.broken()
    held: dict[int, dict[Any, int]] = defaultdict(dict)
    for row in part.counts.drop_null().sort_by("start").to_pylist():
        held[row["start"]][numbers[row["outcome"]]] = row["events"]
    targets = replay.kills.most_killed(10_000)
    return {
        "events": replay.events,
        "timeless": replay.timeless,
        "outcomes": dict(outcomes),
        "unknown": replay.kills.unknown,
        "struck": [(one.pod, one.name, one.namespace, one.executed, one.audited) for one in targets],
        "namespaces": sorted(replay.kills.namespaces(), key=str),
        "width": replay.width,
        "buckets": dict(held),
        "broken": (
            [(one.time, one.name, one.limit, one.refused) for one in broken.openings],
            broken.refused,
            broken.allowed,
        ),
    }
