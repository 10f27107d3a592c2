"""Metrics in the text format of Prometheus. The only module that imports prometheus_client; extra ``metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from spyderresp.service.metrics import BUCKETS, Counts, State

#: The media type of the text.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(counts: Counts, state: Callable[[], State]) -> Callable[[], bytes]:
    """Return a function that returns the current metrics as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(counts, state))
    ProcessCollector(registry=registry)
    return lambda: generate_latest(registry)


class _Metrics(Collector):
    def __init__(self, counts: Counts, state: Callable[[], State]) -> None:
        self._counts = counts
        self._state = state

    def collect(self) -> Iterator[Metric]:
        state = self._state()
        counts = self._counts
        with counts.lock:
            yield _counter("events_accepted", "Events that a source handed in.", ("source",), counts.accepted)
            yield _counter("events_decided", "Events that were decided.", (), {(): counts.decided})
            yield _counter("events_bad", "Events that could not be decided.", ("source",), counts.bad)
            yield _counter("turned_away", "Requests and connections refused.", ("reason",), counts.turned_away)
            yield _counter("dead_letters", "Dead letters of brokers.", ("source",), counts.dead_letters)
            yield _counter("steps", "Planned actions by outcome.", ("action", "outcome"), counts.steps)
            yield _counter("reloads", "Loads of policies after the first.", ("result",), counts.reloads)
            bounds = [*map(str, BUCKETS), "+Inf"]
            yield HistogramMetricFamily(
                "spyderresp_answer_seconds",
                "Time from the arrival of a delivery to its result.",
                buckets=list(zip(bounds, map(float, accumulate(counts.latency)), strict=True)),
                sum_value=counts.seconds,
            )
        yield _gauge("queue_events", "Events that wait to be decided.", (), {(): state.waiting})
        yield _gauge("queue_events_limit", "The most events that may wait.", (), {(): state.max_waiting})
        yield _gauge("breaker_open_seconds", "Open breakers, and for how long.", ("breaker",), state.breakers)
        halted = int(state.halted is not None)
        yield _gauge("halted", "Whether the kill switch or audit mode stops agent actions.", (), {(): halted})
        yield _gauge("journal_owed_flags", "Flags that are not delivered yet.", ("sink",), state.owed)
        yield _gauge("journal_working", "Whether the journal can be read and written.", (), {(): int(state.journal)})
        yield _gauge("ready", "Whether events are accepted.", (), {(): int(state.ready)})
        yield _gauge("policies", "Policies in force.", (), {(): state.policies})
        yield InfoMetricFamily("spyderresp_policy_set", "The policies in force.", {"digest": state.digest})


def _counter(name: str, text: str, labels: tuple[str, ...], values: object) -> Metric:
    return _filled(CounterMetricFamily(f"spyderresp_{name}", text, labels=labels), values)


def _gauge(name: str, text: str, labels: tuple[str, ...], values: object) -> Metric:
    return _filled(GaugeMetricFamily(f"spyderresp_{name}", text, labels=labels), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: object) -> Metric:
    for key, value in dict(values).items():  # type: ignore[call-overload]
        family.add_metric((key,) if isinstance(key, str) else key, value)
    return family
