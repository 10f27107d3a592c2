"""The other ways in: many events, JSON, JSON lines, Arrow tables."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from rounds import decoded_rounds
from rows.batch import missing, same
from workloads import assert_answers, decoder, synthetic

_SIZE = 1_000
_ROWS = 20_000


@pytest.fixture(scope="module", name="workload")
def _workload() -> Any:
    return synthetic(_SIZE)


@pytest.fixture(name="engine")
def _engine(workload: Any) -> Any:
    engine, decode = workload.engine(), decoder()
    assert_answers(workload, engine, workload.repeating(3))
    for text in workload.each_context():
        engine.evaluate(decode(text))
    return engine


def test_evaluate_many(benchmark: Any, workload: Any, engine: Any) -> None:
    decoded_rounds(benchmark, engine.evaluate_many, workload.stream(fresh=False))


def test_evaluate_json(benchmark: Any, workload: Any, engine: Any) -> None:
    evaluate_json = engine.evaluate_json

    def run(texts: list[bytes]) -> None:
        for text in texts:
            evaluate_json(text)

    decoded_rounds(benchmark, run, workload.stream(fresh=False), decoded=False)


def test_decode_then_evaluate(benchmark: Any, workload: Any, engine: Any) -> None:
    """What a host pays that decodes its events itself."""
    evaluate, decode = engine.evaluate, decoder()

    def run(texts: list[bytes]) -> None:
        for text in texts:
            evaluate(decode(text))

    decoded_rounds(benchmark, run, workload.stream(fresh=False), decoded=False)


def test_evaluate_jsonl(benchmark: Any, workload: Any, engine: Any) -> None:
    def run(texts: list[bytes]) -> None:
        engine.evaluate_jsonl(b"\n".join(texts))

    decoded_rounds(benchmark, run, workload.stream(fresh=False), decoded=False)


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize("encoded", [True, False], ids=["dictionary", "plain"])
def test_evaluate_batch(benchmark: Any, workload: Any, engine: Any, encoded: bool) -> None:
    events = [decoder()(text) for text in workload.repeating(_ROWS)]
    held = importlib.import_module("tables").table(events, workload.policies, encoded=encoded)
    same(workload, engine, held, events)
    benchmark.extra_info["rows"] = _ROWS
    benchmark.pedantic(lambda: engine.evaluate_batch(held).table, rounds=10, warmup_rounds=2)
