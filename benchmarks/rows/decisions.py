"""Deciding one event: against the floor, over the number of policies, and on values never seen."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from environment import child_environment
from measure import called, interleaved, ratio, spread, walked
from native import native_module
from peers.named import floor_plan
from workloads import Workload, assert_answers, decoder, synthetic, vendor

from rows.model import Figure, Settings, medians, not_run, points

_GROWN = (12, 100_000)


def warmed(workload: Workload, settings: Settings, *evaluates: Any) -> Iterator[bytes]:
    """Run contestants until their memos know the repeating stream, and return the rest of it."""
    stream, decode = workload.stream(fresh=False), decoder()
    for text in itertools.chain(workload.each_context(), itertools.islice(stream, settings.warm)):
        event = decode(text)
        for evaluate in evaluates:
            evaluate(event)
    return stream


def floor(settings: Settings) -> Iterator[Figure]:
    """Yield ``evaluate`` with its plan walked, against the floor, on repeating streams."""
    made = native_module("floor")
    for workload in [*(synthetic(size) for size in settings.sizes if size <= 10_000), vendor()]:
        engine, lowest = workload.engine(), made.Floor(floor_plan(workload.policies))
        fired = assert_answers(workload, engine, workload.repeating(10, start=1)) / 10
        stream = warmed(workload, settings, engine.evaluate)
        passes = {"evaluate": walked(engine.evaluate), "floor": called(lowest.evaluate)}
        costs = interleaved(passes, stream, rounds=settings.rounds, count=settings.count)
        ordinary = len(workload.policies) == 10_000
        yield Figure(
            f"evaluate / floor, repeating, {workload.name}",
            ratio(costs["evaluate"], costs["floor"]),
            must=2.0 if ordinary else None,
            aim=1.4 if ordinary else None,
            note=f"{spread(costs['evaluate'], costs['floor'])}; about {fired:.1f} actions an event",
            detail=medians(costs),
            points=points("repeating", len(workload.policies), costs) if "synthetic" in workload.name else [],
        )


def growth(settings: Settings) -> Iterator[Figure]:
    """Yield the cost at the largest size against that at 12, both in the same rounds."""
    small, large = _GROWN[0], max(settings.sizes)
    workloads = {size: synthetic(size) for size in (small, large)}
    engines = {size: workload.engine() for size, workload in workloads.items()}
    for fresh in (False, True):
        costs: dict[int, list[float]] = {small: [], large: []}
        streams = {
            size: workload.stream(fresh=True, start=1_000_000)
            if fresh
            else warmed(workload, settings, engines[size].evaluate)
            for size, workload in workloads.items()
        }
        for number in range(settings.rounds):
            for size in (small, large) if number % 2 else (large, small):
                passes = {"evaluate": walked(engines[size].evaluate)}
                costs[size] += interleaved(passes, streams[size], rounds=1, count=settings.count)["evaluate"]
        judged = not fresh and large == _GROWN[1]
        kind = "never-seen" if fresh else "repeating"
        yield Figure(
            f"evaluate, {large:,} / {small} policies, {kind}",
            ratio(costs[large], costs[small]),
            must=2.0 if judged else None,
            aim=1.3 if judged else None,
            note=spread(costs[large], costs[small]),
            detail={f"{size:,} policies, ns": statistics.median(cost) for size, cost in costs.items()},
            points=[(kind, "evaluate", size, statistics.median(cost)) for size, cost in costs.items()],
        )
    for size, workload in workloads.items():
        assert_answers(workload, engines[size], workload.repeating(2, start=7))


def never_seen(settings: Settings) -> Iterator[Figure]:
    """Yield the cost of events full of values never seen, against the floor on the same events."""
    made = native_module("floor")
    for size in (size for size in settings.sizes if size <= 10_000):
        workload = synthetic(size)
        engine, lowest = workload.engine(), made.Floor(floor_plan(workload.policies))
        fired = assert_answers(workload, engine, workload.fresh(10)) / 10
        passes = {"evaluate": walked(engine.evaluate), "floor": called(lowest.evaluate)}
        stream = workload.stream(fresh=True, start=1_000)
        interleaved(passes, stream, rounds=3, count=settings.count)
        costs = interleaved(passes, stream, rounds=settings.rounds, count=settings.count)
        yield Figure(
            f"evaluate / floor, never-seen, {workload.name}",
            ratio(costs["evaluate"], costs["floor"]),
            must=5.0 if size == 10_000 else None,
            aim=2.5 if size == 10_000 else None,
            note=f"{spread(costs['evaluate'], costs['floor'])}; about {fired:.1f} actions an event",
            detail=medians(costs),
            points=points("never-seen", size, costs),
        )


def memory_growth(settings: Settings) -> Iterator[Figure]:
    """Yield resident memory after very many events never seen, against that after few, in a process of its own."""
    few, many = 100_000, 1_000_000 if settings.quick else 10_000_000
    command = [sys.executable, "-m", "children.memory_growth", str(few), str(many)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=child_environment())
    label = f"resident memory, {many / 1e6:g} M / 0.1 M events never seen, 10,000 policies"
    if done.returncode:
        yield not_run(label, done.stderr.strip()[-300:])
        return
    first, last = map(int, done.stdout.split())
    yield Figure(
        label,
        last / first,
        must=1.05,
        aim=1.0,
        note="a quick run: 1 M events where the full run has 10 M" if settings.quick else "",
        detail={"after 0.1 M, MiB": first / 2**20, f"after {many / 1e6:g} M, MiB": last / 2**20},
    )
