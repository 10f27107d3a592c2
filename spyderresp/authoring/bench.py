"""How fast an engine decides given events: the measurements behind ``spyderresp bench``."""

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

#: Events decoded at a time: so many that the first are out of the processor's nearest caches before they are decided.
ROUND: Final = 2_000
_LEAST_ROUNDS: Final = 3
_PERCENT: Final = 0.99
_IDENTITY: Final = ("name", "uid", "kuid")
_HITS: Final = "_hits"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one event costs one way in.

    Attributes:
        events: how many were decided for it.
        cpu_ns: processor time an event, the median of the rounds.
        median_ns: and ``p99_ns``: on the clock, event by event; None where events are not decided one by one.
    """

    events: int
    cpu_ns: float
    median_ns: float | None = None
    p99_ns: float | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What the events came to, decided once each.

    Attributes:
        events: how many.
        acted: those whose plan has an action.
        actions: in all plans.
        in_scope: policies in scope, over all events.
    """

    events: int
    acted: int
    actions: int
    in_scope: int


def answers(engine: Engine, texts: Sequence[bytes]) -> Answers:
    """Decide every event once, so that memos know what there is to know, and count what came of it.

    Args:
        engine: what decides.
        texts: events in the normal form, as JSON.

    Raises:
        EventError: one of them is malformed.
    """
    acted = actions = in_scope = 0
    for text in texts:
        plan = engine.evaluate(decode_event(text))
        acted += bool(plan)
        actions += len(plan)
        in_scope += len(plan.policies)
    return Answers(len(texts), acted, actions, in_scope)


def evaluate(engine: Engine, texts: Sequence[bytes], seconds: float) -> Cost:
    """Measure ``evaluate`` of mappings, every action of the plan looked at. Decoding is not in it."""
    decide = engine.evaluate

    def run(events: list[Any]) -> None:
        for event in events:
            for action in decide(event):
                action.disposition  # noqa: B018 - that is what is measured

    events, cpu = _rounds(texts, seconds, _decoded, run)
    clocked: list[int] = []

    def clock(events: list[Any]) -> None:
        for event in events:
            begun = time.perf_counter_ns()
            for action in decide(event):
                action.disposition  # noqa: B018
            clocked.append(time.perf_counter_ns() - begun)

    _rounds(texts, seconds / 2, _decoded, clock)
    clocked.sort()
    return Cost(events, cpu, clocked[len(clocked) // 2], clocked[int(len(clocked) * _PERCENT)])


def evaluate_json(engine: Engine, texts: Sequence[bytes], seconds: float) -> Cost:
    """Measure ``evaluate_json``: decoding is in it."""
    decide = engine.evaluate_json

    def run(texts: Sequence[bytes]) -> None:
        for text in texts:
            decide(text)

    return Cost(*_rounds(texts, seconds, lambda texts: texts, run))


def evaluate_batch(engine: Engine, texts: Sequence[bytes], seconds: float) -> Cost | str:
    """Measure ``evaluate_batch`` of plain texts up to its table of actions, or say why not."""
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
            engine.evaluate_batch(table).table  # noqa: B018 - it is made when asked for

    return Cost(*_rounds([table for table in tables if table.num_columns], seconds, lambda tables: tables, run, _rows))


def hit_rates(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    """Return, from what ``Engine.stats`` said before and after, the share of decisions that each memo answered."""
    decided = after["evaluated"] - before["evaluated"]
    return {
        key.removesuffix(_HITS): (after[key] - before[key]) / decided
        for key in after
        if key.endswith(_HITS) and decided
    }


def resident() -> int | None:
    """Return this process's resident memory in bytes, where the system says."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _decoded(texts: Sequence[bytes]) -> list[Any]:
    # Anew for each round: the hash of a text is worked out once, and a host's events are new.
    return [decode_event(text) for text in texts]


def _rows(tables: Sequence[Any]) -> int:
    return sum(table.num_rows for table in tables)


def _rounds(
    things: Sequence[Any],
    seconds: float,
    prepare: Callable[[Sequence[Any]], Any],
    run: Callable[[Any], None],
    size: Callable[[Any], int] = len,
) -> tuple[int, float]:
    """Run over the things, round by round, for so long; return how many there were and the median cost of one."""
    costs: list[float] = []
    total = 0
    ends = time.monotonic() + seconds
    collected = gc.isenabled()
    # Its passes over the host's events are no part of a decision.
    gc.disable()
    try:
        while len(costs) < _LEAST_ROUNDS or time.monotonic() < ends:
            for chunk in _chunks(things):
                held = prepare(chunk)
                begun = time.process_time_ns()
                run(held)
                taken = time.process_time_ns() - begun
                total += size(chunk)
                costs.append(taken / size(chunk))
                if len(costs) >= _LEAST_ROUNDS and time.monotonic() >= ends:
                    break
    finally:
        if collected:
            gc.enable()
    costs.sort()
    return total, costs[len(costs) // 2]


def _chunks(things: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(things), ROUND):
        yield things[start : start + ROUND]


def _table(arrow: Any, rows: list[dict[str, Any]]) -> Any:
    names = dict.fromkeys(name for row in rows for name in row)
    return arrow.table({name: arrow.array([row.get(name) for row in rows]) for name in names})


def _columns(event: dict[str, Any]) -> dict[str, Any]:
    """Return what of an event a table needs: what policies may name, and what names the target."""
    kept: dict[str, Any] = {
        key: str(event[key]) for key in ("id", "policy_uid", "policy_name") if event.get(key) is not None
    }
    for scope in SCOPES:
        held = event.get(scope)
        if held is not None:
            keys = {*FIELDS[scope], *_IDENTITY} | ({"labels"} if scope in LABEL_SCOPES else set())
            kept[scope] = {key: value for key, value in held.items() if key in keys}
    return kept
