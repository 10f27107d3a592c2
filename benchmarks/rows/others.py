"""Other ways to decide the same events: plain Python, and engines from PyPI. All are held to the same plans first."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from measure import interleaved, ratio, spread, walked, walked_shape
from workloads import Workload, decoder, synthetic
from workloads.oracle import plain

import spyderresp
from rows.decisions import warmed
from rows.model import Figure, Settings, bounds, medians, not_run, points

_SAMPLE = 25
_MEMO = {1_000: (1.5, 2.5), 10_000: (1.5, 2.5), 100_000: (1.5, 2.5)}
_EXACT = {1_000: (3.0, 6.0), 10_000: (4.0, 10.0), 100_000: (10.0, 30.0)}
_ZEN = {1_000: (8.0, 12.0), 10_000: (15.0, 25.0), 100_000: (50.0, 80.0)}
_LINEAR = {1_000: (100.0, None), 10_000: (1_000.0, None)}
# What one evaluation of a linear engine costs, roughly, in microseconds a policy: it sets how many events a round has.
_DEAR = 10
_ROUND = 1_000_000


def same_plans(workload: Workload, engine: spyderresp.Engine, contestant: Any, texts: list[bytes]) -> None:
    """Hold a contestant's plans against the engine's.

    Raises:
        AssertionError: they differ.
    """
    decode = decoder()
    for text in texts:
        wanted = plain(engine.evaluate(decode(text)).to_dict())
        shape = contestant.evaluate(decode(text))[1]
        found = {"policies": list(shape.policies), "actions": [action.to_dict() for action in shape.actions]}
        assert found == {key: wanted[key] for key in found}, f"{contestant.name}, {workload.name}: {text!r}"


def best_python(settings: Settings) -> Iterator[Figure]:
    """Yield the best pure Python against ``evaluate``: a memo on what repeats, a dict on what does not."""
    for size in (size for size in settings.sizes if size >= 1_000):
        workload = synthetic(size)
        yield _against(
            settings, workload, ("python_memo", "MemoDict"), "repeating", bounds(_MEMO, size), settings.count
        )
        # Its candidates grow with the policies that have globs alone, so a round has fewer events.
        count = max(20, min(settings.count, _ROUND // size))
        yield _against(settings, workload, ("python_exact", "ExactDict"), "never-seen", bounds(_EXACT, size), count)
        further = ("python_exact", "ExactAndPrefixDict")
        yield _against(settings, workload, further, "never-seen", bounds({}, size), settings.count)


def zen(settings: Settings) -> Iterator[Figure]:
    """Yield zen-engine against ``evaluate``."""
    for size in (size for size in settings.sizes if size >= 1_000):
        yield from _maybe(settings, size, ("zen_engine", "Zen"), bounds(_ZEN, size), 100)


def engines(settings: Settings) -> Iterator[Figure]:
    """Yield the engines whose cost grows with the policies, as their own documentation shows them."""
    for size in (size for size in settings.sizes if 1_000 <= size <= 10_000):
        count = max(2, _ROUND // (_DEAR * size) // 5)
        for peer in (("cedar", "Cedar"), ("cel_rust", "Cel"), ("datalogic", "DataLogic")):
            yield from _maybe(settings, size, peer, bounds(_LINEAR, size), count)
    yield not_run("regorus", "PyPI has no package of its authors; those of others are not measured")


def _maybe(
    settings: Settings, size: int, peer: tuple[str, str], limits: dict[str, float | None], count: int
) -> Iterator[Figure]:
    try:
        importlib.import_module(f"peers.{peer[0]}")
    except ImportError as error:
        yield not_run(f"{peer[1]}, {size:,} policies", f"not installed: {error}")
        return
    yield _against(settings, synthetic(size), peer, "repeating", limits, count)


def _against(
    settings: Settings,
    workload: Workload,
    peer: tuple[str, str],
    kind: str,
    limits: dict[str, float | None],
    count: int,
) -> Figure:
    contestant = getattr(importlib.import_module(f"peers.{peer[0]}"), peer[1])(workload.policies)
    engine = workload.engine()
    few = max(3, min(_SAMPLE, count))
    same_plans(workload, engine, contestant, workload.repeating(few, start=3) + workload.fresh(few, start=3))
    if kind == "never-seen":
        stream = workload.stream(fresh=True, start=1_000_000)
    else:
        # A contestant without a memo has nothing to warm but its caches.
        stream = warmed(workload, settings, engine.evaluate, *([contestant.evaluate] if count >= 1_000 else []))
    passes = {"evaluate": walked(engine.evaluate), contestant.name: walked_shape(contestant.evaluate)}
    counts = {"evaluate": settings.count, contestant.name: count}
    costs = interleaved(passes, stream, rounds=settings.rounds, count=counts)
    above, below = costs[contestant.name], costs["evaluate"]
    size = len(workload.policies)
    return Figure(
        f"{contestant.name} / evaluate, {kind}, {size:,} policies",
        ratio(above, below),
        must=limits["must"],
        aim=limits["aim"],
        sense="at least",
        note=spread(above, below),
        detail=medians(costs),
        points=points(kind, size, costs),
    )
