"""Decisions: a stream that repeats, and one in which every value is new, for growing policy sets."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from workloads import assert_answers, decoder, synthetic

COUNT = 2_000


@pytest.mark.parametrize("fresh", [False, True], ids=["repeating", "never-seen"])
@pytest.mark.parametrize("size", [12, 1_000, 10_000])
def test_evaluate(benchmark: Any, size: int, fresh: bool) -> None:
    workload, decode = synthetic(size), decoder()
    engine, stream = workload.engine(), workload.stream(fresh=fresh)
    assert_answers(workload, engine, [next(stream) for _ in range(3)])

    def run(events: list[Any]) -> None:
        for event in events:
            for action in engine.evaluate(event):
                action.name
                action.disposition

    def setup() -> tuple[Any, Any]:
        gc.collect()
        return ([decode(next(stream)) for _ in range(COUNT)],), {}

    benchmark.pedantic(run, setup=setup, rounds=5, warmup_rounds=5)
