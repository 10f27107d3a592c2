"""Decisions: a stream that repeats, and one in which every value is new, for growing policy sets."""

from __future__ import annotations

from typing import Any

import pytest
from native import CannotBuildError, native_module
from peers.named import floor_plan
from rounds import decoded_rounds
from workloads import WORST, Workload, assert_answers, decoder, synthetic, vendor

SIZES = [12, 1_000, 10_000, 100_000]
STREAMS = pytest.mark.parametrize("fresh", [False, True], ids=["repeating", "never-seen"])
_SMALL = 200


def bench(benchmark: Any, workload: Workload, *, fresh: bool, sample: int = 3) -> None:
    engine, decode = workload.engine(), decoder()
    stream = workload.stream(fresh=fresh)
    assert_answers(workload, engine, [next(stream) for _ in range(sample)])
    for text in workload.each_context():
        engine.evaluate(decode(text))

    def run(events: list[Any]) -> None:
        for event in events:
            for action in engine.evaluate(event):
                action.name
                action.disposition

    decoded_rounds(benchmark, run, stream)


@STREAMS
@pytest.mark.parametrize("size", SIZES)
def test_evaluate(benchmark: Any, size: int, fresh: bool) -> None:
    bench(benchmark, synthetic(size), fresh=fresh, sample=1 if size > 10_000 else 3)


@STREAMS
def test_vendor(benchmark: Any, fresh: bool) -> None:
    bench(benchmark, vendor(), fresh=fresh)


@STREAMS
@pytest.mark.parametrize("size", SIZES)
def test_floor(benchmark: Any, size: int, fresh: bool) -> None:
    workload = synthetic(size)
    try:
        lowest = native_module("floor").Floor(floor_plan(workload.policies))
    except CannotBuildError as error:
        pytest.skip(str(error))

    def run(events: list[Any]) -> None:
        for event in events:
            lowest.evaluate(event)

    decoded_rounds(benchmark, run, workload.stream(fresh=fresh))


@STREAMS
@pytest.mark.parametrize("make", WORST, ids=lambda make: make.__name__)
def test_worst(benchmark: Any, make: Any, fresh: bool) -> None:
    """One event a round: plans differ in size too much to be held against each other but by the action."""
    small = make(_SMALL)
    assert_answers(small, small.engine(), [*small.repeating(2), *small.fresh(1)])
    workload = make()
    engine, decode, stream = workload.engine(), decoder(), workload.stream(fresh=fresh)

    def run(event: Any) -> None:
        for action in engine.evaluate(event):
            action.name
            action.disposition

    benchmark.extra_info["actions"] = len(engine.evaluate(decode(next(stream))))
    benchmark.pedantic(run, setup=lambda: ((decode(next(stream)),), {}), rounds=50, warmup_rounds=5)
