"""OpenTelemetry spans of rounds. The only importer of opentelemetry in this room; extra ``otel``.

One span a round, with an event for each step that was carried out or refused: a span for each step would cost more than
the step. Where they go is what the usual ``OTEL_...`` variables say.
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

_MOST_EVENTS: Final = 100


class Spans:
    """Makes spans.

    Args:
        processor: what takes them; None: batches of OTLP over HTTP.
    """

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": "spyderresp"}))
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("spyderresp", __version__)

    @contextlib.contextmanager
    def round(self, deliveries: int, events: int) -> Iterator[list[StepOutcome]]:
        """Span a round; the outcomes that are put into the list are told with it."""
        outcomes: list[StepOutcome] = []
        attributes = {"spyderresp.deliveries": deliveries, "spyderresp.events": events}
        with self._tracer.start_as_current_span("spyderresp.round", attributes=attributes) as span:
            yield outcomes
            span.set_attribute("spyderresp.steps", len(outcomes))
            for outcome in _told(outcomes):
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
        """Send what is left, and end."""
        self._provider.shutdown()


def _told(outcomes: Sequence[StepOutcome]) -> Sequence[StepOutcome]:
    """Return the outcomes that are worth an event, so many at most: what was not to be done is none."""
    passed = ("audit", "not_applicable", "superseded", "dry_run")
    return [outcome for outcome in outcomes if outcome.status not in passed][:_MOST_EVENTS]
