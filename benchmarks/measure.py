"""Clocks, and how one thing is held against another on a noisy machine."""

from __future__ import annotations

import contextlib
import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from workloads import decoder

#: Measures one pass over events and returns what it cost in nanoseconds of CPU time.
Pass = Callable[[list[Any]], int]


def walked(evaluate: Callable[[Any], Any]) -> Pass:
    """Return a pass that decides each event and looks at every action of its plan."""

    def run(events: list[Any]) -> int:
        begun = time.process_time_ns()
        for event in events:
            for action in evaluate(event):
                action.name
                action.disposition
        return time.process_time_ns() - begun

    return run


def walked_shape(evaluate: Callable[[Any], Any]) -> Pass:
    """Return the same for contestants whose plan is a tuple with its shape second."""

    def run(events: list[Any]) -> int:
        begun = time.process_time_ns()
        for event in events:
            for action in evaluate(event)[1].actions:
                action.name
                action.disposition
        return time.process_time_ns() - begun

    return run


def called(function: Callable[[Any], Any]) -> Pass:
    """Return a pass that calls a function for each event and drops what it returns."""

    def run(events: list[Any]) -> int:
        begun = time.process_time_ns()
        for event in events:
            function(event)
        return time.process_time_ns() - begun

    return run


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """Keep the garbage collector out of what is measured: it would look through the events, which are the host's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def interleaved(
    passes: Mapping[str, Pass],
    texts: Iterator[bytes],
    *,
    rounds: int,
    count: int | Mapping[str, int],
    decoded: bool = True,
) -> dict[str, list[float]]:
    """Return what each pass costs an event, round by round, in nanoseconds.

    In each round all passes run, one after another, each over its own freshly decoded copy of the same events; every
    other round in the opposite order.

    Args:
        passes: by name.
        texts: events as JSON.
        rounds: how many.
        count: of events a round; for each pass, where some are too slow to take as many as the others.
        decoded: whether passes are given events; else they are given the texts.
    """
    decode, costs = decoder(), {name: list[float]() for name in passes}
    counts = dict.fromkeys(passes, count) if isinstance(count, int) else count
    for number in range(rounds):
        drawn = [next(texts) for _ in range(max(counts.values()))]
        order = list(passes) if number % 2 == 0 else list(reversed(passes))
        for name in order:
            mine = drawn[: counts[name]]
            events = [decode(text) for text in mine] if decoded else mine
            with steady():
                costs[name].append(passes[name](events) / len(events))
    return costs


def ratio(above: list[float], below: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def spread(above: list[float], below: list[float]) -> str:
    """Return the middle half of the rounds' ratios, as text."""
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    return f"{ratios[len(ratios) // 4]:.2f} to {ratios[(3 * len(ratios)) // 4]:.2f}"


def resident() -> int:
    """Return this process's resident memory in bytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
