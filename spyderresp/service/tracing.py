"""OpenTelemetry spans of rounds. The only module of the service that imports opentelemetry; extra ``otel``.

Each round is one span, with an event for each step that was carried out or refused. A span for each step would cost
more than the step. The ``OTEL_...`` environment variables configure the exporter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from spyderresp.errors import __version__
from spyderresp.execution.report import StepOutcome

_MAX_EVENTS: Final = 100


class Spans:
    """Creates spans.

    Args:
        processor: receives the spans; None: they are sent in batches by OTLP over HTTP.
    """

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": "spyderresp"}))
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("spyderresp", __version__)

    @contextlib.contextmanager
    def round(self, deliveries: int, events: int) -> Iterator[list[StepOutcome]]:
        """Create the span of a round; add an event for each notable outcome that the caller puts into the list."""
        outcomes: list[StepOutcome] = []
        attributes = {"spyderresp.deliveries": deliveries, "spyderresp.events": events}
        with self._tracer.start_as_current_span("spyderresp.round", attributes=attributes) as span:
            yield outcomes
            span.set_attribute("spyderresp.steps", len(outcomes))
            for outcome in _notable(outcomes):
                span.add_event(
                    outcome.action,
                    {
                        "spyderresp.outcome": outcome.status,
                        "spyderresp.policies": outcome.step.policies,
                        "spyderresp.rule": outcome.rule,
                        "spyderresp.key": outcome.step.key,
                    },
                )

    def close(self) -> None:
        """Send the remaining spans and shut down."""
        self._provider.shutdown()


def _notable(outcomes: Sequence[StepOutcome]) -> Sequence[StepOutcome]:
    """Return the outcomes to add as events, limited in number; leave out steps that were not to be carried out."""
    passed = ("audit", "not_applicable", "superseded", "dry_run")
    return [outcome for outcome in outcomes if outcome.status not in passed][:_MAX_EVENTS]
