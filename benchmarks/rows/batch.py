"""The batch path: Arrow tables in, a table of actions out."""

from __future__ import annotations

import hashlib
import importlib.util
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from measure import interleaved, ratio, spread, steady, walked
from workloads import Workload, decoder, synthetic

import spyderresp
from rows.decisions import warmed
from rows.model import Figure, Settings, not_run

_SIZES = (1_000, 10_000)
_ROWS = 100_000
_SAMPLE = 50
#: Of a thread: one alone takes hardly longer than starting the thread.
_CALLS = 25


def batch(settings: Settings) -> Iterator[Figure]:
    """Yield both kinds of table at each size, then two threads."""
    why = missing()
    if why is not None:
        yield not_run("evaluate_batch", why)
        return
    tables = importlib.import_module("tables")
    sizes = [size for size in _SIZES if size in settings.sizes] or [max(settings.sizes)]
    for size in sizes:
        workload = synthetic(size)
        engine = workload.engine()
        rows = 20_000 if settings.quick else _ROWS
        events = [decoder()(text) for text in workload.repeating(rows)]
        encoded = tables.table(events, workload.policies, encoded=True)
        plain = tables.table(events, workload.policies, encoded=False)
        for held in (encoded, plain):
            same(workload, engine, held, events)
        yield from _sized(settings, workload, engine, encoded, plain, tables.leaves(plain, workload.policies))
    yield _threads(settings, lambda: engine.evaluate_batch(encoded).table)


def _sized(
    settings: Settings, workload: Workload, engine: spyderresp.Engine, encoded: Any, plain: Any, columns: list[Any]
) -> Iterator[Figure]:
    rows, size = encoded.num_rows, len(workload.policies)
    stream = warmed(workload, settings, engine.evaluate)
    singly, batched, decided, plans, texts, encoding = [], [], [], [], [], []
    for _ in range(settings.rounds):
        cost = interleaved({"evaluate": walked(engine.evaluate)}, stream, rounds=1, count=settings.count)
        singly += cost["evaluate"]
        batched.append(_cost(lambda: engine.evaluate_batch(encoded).table) / rows)
        decided.append(_cost(lambda: engine.evaluate_batch(encoded)) / rows)
        plans.append(_cost(lambda: _walk(engine.evaluate_batch(encoded))) / rows)
        texts.append(_cost(lambda: engine.evaluate_batch(plain).table) / rows)
        encoding.append(_cost(lambda: [column.dictionary_encode() for column in columns]) / rows)
    yield Figure(
        f"evaluate / evaluate_batch, dictionary-encoded, {size:,} policies",
        ratio(singly, batched),
        must=8.0,
        aim=20.0,
        sense="at least",
        note=f"{spread(singly, batched)}; the table of actions is made, a plan a row is not",
        detail={"evaluate, ns": statistics.median(singly), "evaluate_batch, ns a row": statistics.median(batched)},
    )
    yield Figure(
        f"the same without its table, {size:,} policies",
        ratio(singly, decided),
        sense="at least",
        note=spread(singly, decided),
        detail={"evaluate_batch, ns a row": statistics.median(decided)},
    )
    yield Figure(
        f"the same with a plan of each row walked instead, {size:,} policies",
        ratio(singly, plans),
        sense="at least",
        note=spread(singly, plans),
        detail={"evaluate_batch, ns a row": statistics.median(plans)},
    )
    yield Figure(
        f"evaluate_batch, plain texts / pyarrow's dictionary_encode of {len(columns)} columns, {size:,} policies",
        ratio(texts, encoding),
        must=3.0,
        aim=1.5,
        note=spread(texts, encoding),
        detail={"evaluate_batch, ns a row": statistics.median(texts), "pyarrow, ns a row": statistics.median(encoding)},
    )


def _walk(result: Any) -> None:
    for plan in result:
        for action in plan:
            action.name
            action.disposition


def missing() -> str | None:
    """Return why the batch path cannot be measured here, or None."""
    return "pyarrow is not installed" if importlib.util.find_spec("pyarrow") is None else None


def same(workload: Workload, engine: spyderresp.Engine, held: Any, events: list[Any]) -> None:
    """Hold rows of a batch against ``evaluate``.

    Raises:
        AssertionError: they differ.
    """
    result = engine.evaluate_batch(held)
    assert len(result) == len(events)
    for row in range(0, len(events), max(1, len(events) // _SAMPLE)):
        wanted, found = engine.evaluate(events[row]).to_dict(), result[row].to_dict()
        assert found["policies"] == wanted["policies"], (workload.name, row)
        assert found["actions"] == wanted["actions"], (workload.name, row)


def _cost(function: Callable[[], Any]) -> int:
    with steady():
        begun = time.process_time_ns()
        function()
        return time.process_time_ns() - begun


def _threads(settings: Settings, function: Callable[[], Any]) -> Figure:
    """Return how much more two threads get through than one, in time on the clock, beside what surely scales."""
    data = bytes(4 << 20)
    ratios, control = [], []
    # Of two processors one is often slower for a while, where others share the machine below.
    for _ in range(3 * settings.rounds):
        ratios.append(_gained(function))
        control.append(_gained(lambda: hashlib.sha256(data).digest()))
    return Figure(
        "two threads / one, evaluate_batch",
        statistics.median(ratios),
        must=1.6,
        aim=1.9,
        sense="at least",
        note=(
            f"on the clock, so whatever else the machine does is in it: beside it hashlib, which holds no lock, gains "
            f"{statistics.median(control):.2f}"
        ),
    )


def _gained(function: Callable[[], Any]) -> float:
    """Return in what part of the time that one thread takes for twice the work two threads do it."""

    def work() -> None:
        for _ in range(_CALLS):
            function()

    begun = time.perf_counter_ns()
    work()
    work()
    one = time.perf_counter_ns() - begun
    threads = [threading.Thread(target=work) for _ in range(2)]
    begun = time.perf_counter_ns()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return one / (time.perf_counter_ns() - begun)
