"""Measures how fast an engine decides given events: the measurements of ``spyderresp bench``."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.decision.engine import Engine
from spyderresp.events.json_decoder import decode_event
from spyderresp.policies.vocabulary import FIELDS, LABEL_SCOPES, SCOPES

#: The number of events that are decoded before they are decided: so many that the first ones leave the fastest caches
#: of the processor, as in real use.
ROUND: Final = 2_000
_MIN_ROUNDS: Final = 3
_PERCENTILE: Final = 0.99
_IDENTITY: Final = ("name", "uid", "kuid")
_HITS: Final = "_hits"


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of an event with one method of the engine.

    Attributes:
        events: the number of events that were measured.
        cpu_ns: nanoseconds of processor time for an event: the median of the rounds.
        median_ns: the median of the wall-clock times of single events, in nanoseconds; None: they were not measured.
        p99_ns: the 99th percentile of these times.
    """

    events: int
    cpu_ns: float
    median_ns: float | None = None
    p99_ns: float | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """The plans of all events, in numbers.

    Attributes:
        events: the number of events.
        acted: the number of events with an action.
        actions: the number of actions in all plans.
        in_scope: the number of policies in scope, over all events.
    """

    events: int
    acted: int
    actions: int
    in_scope: int


def answers(engine: Engine, texts: Sequence[bytes]) -> Answers:
    """Decide every event once, which fills the caches, and count the plans.

    Args:
        engine: the engine.
        texts: the events in the normal form, as JSON.

    Raises:
        EventError: an event cannot be decided.
    """
    acted = actions = in_scope = 0
    for text in texts:
        plan = engine.evaluate(decode_event(text))
        acted += bool(plan)
        actions += len(plan)
        in_scope += len(plan.policies)
    return Answers(len(texts), acted, actions, in_scope)


def evaluate(engine: Engine, texts: Sequence[bytes], seconds: float) -> Cost:
    """Measure ``evaluate`` of mappings, and access to every action of the plan; without the decoding of JSON."""
    decide = engine.evaluate

    def run(events: list[Any]) -> None:
        for event in events:
            for action in decide(event):
                action.disposition  # noqa: B018 - the access is measured too

    events, cpu = _rounds(texts, seconds, _decoded, run)
    times: list[int] = []

    def clock(events: list[Any]) -> None:
        for event in events:
            start = time.perf_counter_ns()
            for action in decide(event):
                action.disposition  # noqa: B018
            times.append(time.perf_counter_ns() - start)

    _rounds(texts, seconds / 2, _decoded, clock)
    times.sort()
    return Cost(events, cpu, times[len(times) // 2], times[int(len(times) * _PERCENTILE)])


def evaluate_json(engine: Engine, texts: Sequence[bytes], seconds: float) -> Cost:
    """Measure ``evaluate_json``, including the decoding of JSON."""
    decide = engine.evaluate_json

    def run(texts: Sequence[bytes]) -> None:
        for text in texts:
            decide(text)

    return Cost(*_rounds(texts, seconds, lambda texts: texts, run))


def evaluate_batch(engine: Engine, texts: Sequence[bytes], seconds: float) -> Cost | str:
    """Measure ``evaluate_batch`` with its table of actions; return the reason if that is not possible."""
    try:
        import pyarrow as pa
    except ImportError:
        return "pyarrow is not installed"
    try:
        tables = [_table(pa, [_columns(decode_event(text)) for text in chunk]) for chunk in _chunks(texts)]
    except (pa.ArrowException, TypeError, OverflowError) as error:
        return f"Arrow cannot hold these events: {error}"

    def run(tables: Any) -> None:
        for table in tables:
            engine.evaluate_batch(table).table  # noqa: B018 - the access makes the table

    return Cost(*_rounds([table for table in tables if table.num_columns], seconds, lambda tables: tables, run, _rows))


def hit_rates(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    """Return the share of decisions that each cache answered, from ``Engine.stats`` before and after."""
    decided = after["evaluated"] - before["evaluated"]
    return {
        key.removesuffix(_HITS): (after[key] - before[key]) / decided
        for key in after
        if key.endswith(_HITS) and decided
    }


def resident() -> int | None:
    """Return the resident memory of this process in bytes; None if the system does not report it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _decoded(texts: Sequence[bytes]) -> list[Any]:
    # Decoded for each round: the hash of a text is computed once, and in real use every event is new.
    return [decode_event(text) for text in texts]


def _rows(tables: Sequence[Any]) -> int:
    return sum(table.num_rows for table in tables)


def _rounds(
    items: Sequence[Any],
    seconds: float,
    prepare: Callable[[Sequence[Any]], Any],
    run: Callable[[Any], None],
    size: Callable[[Any], int] = len,
) -> tuple[int, float]:
    """Process items in rounds for some seconds; return the number of events and the median cost of one.

    Args:
        items: the events, or tables of events.
        seconds: how long to run.
        prepare: prepares the items of a round; this is not measured.
        run: processes the prepared items; this is measured.
        size: returns the number of events in some items.
    """
    costs: list[float] = []
    total = 0
    ends = time.monotonic() + seconds
    gc_was_enabled = gc.isenabled()
    # Garbage collection is not part of a decision.
    gc.disable()
    try:
        while len(costs) < _MIN_ROUNDS or time.monotonic() < ends:
            for chunk in _chunks(items):
                prepared = prepare(chunk)
                start = time.process_time_ns()
                run(prepared)
                elapsed = time.process_time_ns() - start
                total += size(chunk)
                costs.append(elapsed / size(chunk))
                if len(costs) >= _MIN_ROUNDS and time.monotonic() >= ends:
                    break
    finally:
        if gc_was_enabled:
            gc.enable()
    costs.sort()
    return total, costs[len(costs) // 2]


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), ROUND):
        yield items[start : start + ROUND]


def _table(arrow: Any, rows: list[dict[str, Any]]) -> Any:
    names = dict.fromkeys(name for row in rows for name in row)
    return arrow.table({name: arrow.array([row.get(name) for row in rows]) for name in names})


def _columns(event: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an event that a table needs: what policies can name, and what identifies the target."""
    kept: dict[str, Any] = {
        key: str(event[key]) for key in ("id", "policy_uid", "policy_name") if event.get(key) is not None
    }
    for scope in SCOPES:
        value = event.get(scope)
        if value is not None:
            keys = {*FIELDS[scope], *_IDENTITY} | ({"labels"} if scope in LABEL_SCOPES else set())
            kept[scope] = {key: item for key, item in value.items() if key in keys}
    return kept
