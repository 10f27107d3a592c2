"""Policy sets made to be expensive, held to the ordinary case by what one action of a plan costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

from measure import called, interleaved, ratio, spread, steady, walked
from native import native_module
from peers.named import floor_plan
from workloads import WORST, Workload, assert_answers, decoder, pathological, synthetic

import spyderresp
from rows.model import Figure, Settings

# The oracle is quadratic in the actions of a plan, so answers are held to it on the same shape in small.
_SMALL = 200
_ACTIONS_A_ROUND = 20_000


def worst_shapes(settings: Settings) -> Iterator[Figure]:
    """Yield each shape on both streams."""
    ordinary = synthetic(10_000 if 10_000 in settings.sizes else max(settings.sizes))
    usual = ordinary.engine()
    for make in WORST:
        small = make(_SMALL)
        assert_answers(small, small.engine(), small.repeating(3) + small.fresh(2))
        workload = make()
        engine = workload.engine()
        for fresh in (False, True):
            yield _shape(settings, (ordinary, usual), (workload, engine), fresh=fresh)


def _shape(
    settings: Settings,
    ordinary: tuple[Workload, spyderresp.Engine],
    worst: tuple[Workload, spyderresp.Engine],
    *,
    fresh: bool,
) -> Figure:
    costs: dict[str, list[float]] = {}
    made = native_module("floor")
    for name, (workload, engine) in (("ordinary", ordinary), ("worst", worst)):
        stream, decode = workload.stream(fresh=fresh, start=1_000_000), decoder()
        actions = statistics.mean(len(engine.evaluate(decode(next(stream)))) for _ in range(20))
        count = max(2, min(settings.count, int(_ACTIONS_A_ROUND / actions)))
        warming = 2 if fresh else 10
        lowest = f"floor of the {name}"
        passes = {
            name: walked(engine.evaluate),
            lowest: called(made.Floor(floor_plan(workload.policies)).evaluate),
        }
        interleaved(passes, stream, rounds=warming, count=count)
        for what, taken in interleaved(passes, stream, rounds=settings.rounds, count=count).items():
            costs[what] = [cost / actions for cost in taken]
    kind = "never-seen" if fresh else "repeating"
    return Figure(
        f"{worst[0].name}, {kind}, per action / the ordinary case",
        ratio(costs["worst"], costs["ordinary"]),
        aim=3.0,
        note=(
            f"{spread(costs['worst'], costs['ordinary'])}; its events' own floor / the ordinary case is "
            f"{ratio(costs['floor of the worst'], costs['ordinary']):.2f} x"
        ),
        detail={f"{name}, ns an action": statistics.median(cost) for name, cost in costs.items()},
    )


def globs_on_long_texts(settings: Settings) -> Iterator[Figure]:
    """Yield what pathological globs cost on long texts, for each step of pattern length times value length."""
    costs: dict[int, float] = {}
    sizes = (250_000, 1_000_000)
    small, _ = pathological(1_000)
    assert_answers(small, small.engine(), small.fresh(2))
    for size in sizes:
        workload, globs = pathological(size)
        engine, decode = workload.engine(), decoder()
        taken = []
        for text in workload.fresh(3 if settings.quick else 9):
            event: Any = decode(text)
            with steady():
                begun = time.process_time_ns()
                engine.evaluate(event)
                taken.append(time.process_time_ns() - begun)
        costs[size] = statistics.median(taken)
    steps = sum(map(len, globs)) * sizes[1]
    yield Figure(
        f"{len(globs)} pathological globs on 1 MB, never-seen, a step of pattern length times value length",
        costs[sizes[1]] / steps,
        unit="ns",
        note="a backtracking matcher would not end",
        detail={"one evaluate, ms": costs[sizes[1]] / 1e6},
    )
    yield Figure(
        "the same, four times the length / once",
        costs[sizes[1]] / costs[sizes[0]],
        aim=5.0,
        note="4 is linear",
    )
