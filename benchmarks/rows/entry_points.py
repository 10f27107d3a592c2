"""The other ways in: many events, JSON, JSON lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from measure import Pass, interleaved, ratio, spread
from workloads import Workload, assert_answers, decoder, synthetic

import spyderresp
from rows.decisions import warmed
from rows.model import Figure, Settings, medians, not_run

_SIZE = 1_000


def _whole(function: Any) -> Pass:
    """Return a pass that hands all events over at once."""

    def run(events: list[Any]) -> int:
        begun = time.process_time_ns()
        plans = function(events)
        taken = time.process_time_ns() - begun
        del plans
        return taken

    return run


def _set_up(settings: Settings) -> tuple[Workload, spyderresp.Engine, Iterator[bytes]]:
    workload = synthetic(_SIZE)
    engine = workload.engine()
    assert_answers(workload, engine, workload.repeating(3, start=5))
    return workload, engine, warmed(workload, settings, engine.evaluate)


def many(settings: Settings) -> Iterator[Figure]:
    """Yield ``evaluate_many`` against a loop of ``evaluate``."""
    _, engine, stream = _set_up(settings)
    evaluate = engine.evaluate
    passes = {
        "evaluate_many": _whole(engine.evaluate_many),
        "loop of evaluate": _whole(lambda events: [evaluate(event) for event in events]),
    }
    costs = interleaved(passes, stream, rounds=settings.rounds * 2, count=settings.count)
    yield _figure("evaluate_many / a loop of evaluate", costs, must=1.0, aim=0.9)


def from_json(settings: Settings) -> Iterator[Figure]:
    """Yield ``evaluate_json`` against decoding with orjson and ``evaluate``; ``evaluate_jsonl`` against both."""
    workload, engine, stream = _set_up(settings)
    loads, evaluate, evaluate_json = decoder(), engine.evaluate, engine.evaluate_json
    if loads.__module__ != "orjson":
        yield not_run("evaluate_json / orjson.loads and evaluate", "orjson is not installed")
        return
    for text in workload.repeating(20):
        assert evaluate_json(text) == evaluate(loads(text)) == engine.evaluate_jsonl(text)[0]
    passes = {
        "evaluate_json": _whole(lambda texts: [evaluate_json(text) for text in texts]),
        "orjson.loads, evaluate": _whole(lambda texts: [evaluate(loads(text)) for text in texts]),
    }
    costs = interleaved(passes, stream, rounds=settings.rounds * 2, count=settings.count, decoded=False)
    yield _figure("evaluate_json / orjson.loads and evaluate", costs, must=1.0, aim=0.7)
    passes = {
        "evaluate_jsonl": _whole(lambda texts: engine.evaluate_jsonl(b"\n".join(texts))),
        "evaluate_json": _whole(lambda texts: [evaluate_json(text) for text in texts]),
    }
    costs = interleaved(passes, stream, rounds=settings.rounds, count=settings.count, decoded=False)
    yield _figure("evaluate_jsonl / a loop of evaluate_json", costs)


def _figure(label: str, costs: dict[str, list[float]], **limits: float) -> Figure:
    above, below = costs.values()
    return Figure(label, ratio(above, below), note=spread(above, below), detail=medians(costs), **limits)  # type: ignore[arg-type]
