"""The service loop: takes deliveries from the intake, decides, carries out and answers, in the order of arrival.

The loop works in rounds. A round takes the waiting deliveries, up to ``ROUND`` events: the busier the service, the more
events share one commit of the journal. One thread decides a round while another carries out the round before it, which
mostly waits for the disk. A delivery is answered after its steps and their outcomes are in the journal
(docs/decisions/0036-answers.md).
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from spyderresp.decision import ActionPlan
from spyderresp.decision.engine import Engine
from spyderresp.errors import EventError
from spyderresp.execution.execute import execute_many
from spyderresp.execution.guards.guard import Guard
from spyderresp.execution.interfaces import Executor, StepJournal
from spyderresp.execution.report import ExecutionReport, StepOutcome
from spyderresp.service.intake import BadRecord, Delivery, DeliveryResult, Intake, unpack
from spyderresp.service.metrics import Counts, ServiceObserver

#: About how many events one round takes.
ROUND: Final = 2000
# Plans of one call of execute_many: it holds every target open at once, with a descriptor each.
_MAX_PLANS: Final = 200
# Most seconds between the first and the last arrival in one call.
_MAX_SPREAD: Final = 5.0
# Seconds between checks that the acting thread is alive.
_CHECK: Final = 0.5


@dataclass(frozen=True)
class ServiceContext:
    """The parts that the loop works with.

    Attributes:
        engine: decides events.
        executors: carry actions out.
        guard: admits or refuses steps.
        journal: records steps and outcomes; None: no journal.
        observer: receives bad events and outcomes.
        form: the form of the records; None: each record's form is recognised.
        counts: the counters of the metrics.
        tracer: receives one span for each round; None: no tracing.
    """

    engine: Engine
    executors: tuple[Executor, ...]
    guard: Guard
    journal: StepJournal | None
    observer: ServiceObserver
    form: str | None = None
    counts: Counts = field(default_factory=Counts)
    tracer: Tracer | None = None


class Tracer(Protocol):
    """Traces rounds."""

    def round(self, deliveries: int, events: int) -> AbstractContextManager[list[StepOutcome]]:
        """Return a context manager for one round; the loop appends the outcomes to the list that it gives."""


class _NoTracer:
    """Traces nothing."""

    def round(self, deliveries: int, events: int) -> AbstractContextManager[list[StepOutcome]]:  # noqa: ARG002
        return contextlib.nullcontext([])


class _Planned(NamedTuple):
    """A plan with at least one action."""

    plan: ActionPlan
    event: Any
    delivery: int
    line: int


class _Reply:
    """The answer to one delivery, while it is collected."""

    def __init__(self) -> None:
        self.events = 0
        self.bad: list[BadRecord] = []
        self.outcomes: Counter[str] = Counter()


class Decided(NamedTuple):
    """A round after deciding, before it is carried out."""

    deliveries: Sequence[Delivery]
    replies: Sequence[_Reply]
    planned: Sequence[_Planned]
    events: int
    digest: str


def serve(intake: Intake, context: ServiceContext, *, events: int = ROUND) -> None:
    """Process rounds until the intake is closed and empty.

    Raises:
        Exception: the error that ended the loop early. Deliveries that are not answered yet stay unanswered.
    """
    # At most one decided round waits; more would pile up in memory while the disk is slow.
    waiting: queue.Queue[Decided | None] = queue.Queue(maxsize=1)
    acting = _Acting(waiting, context)
    acting.start()
    while (deliveries := intake.take(events, _CHECK)) is not None:
        # Check also when nothing arrived: once the acting thread has ended, no sender may be left waiting.
        acting_thread_alive = acting.hand_over(decide(deliveries, context)) if deliveries else acting.is_alive()
        if not acting_thread_alive:
            break
    acting.end()


class _Acting(threading.Thread):
    """The thread that carries out decided rounds."""

    def __init__(self, waiting: queue.Queue[Decided | None], context: ServiceContext) -> None:
        super().__init__(name="acting", daemon=True)
        self._waiting = waiting
        self._context = context
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            while (decided := self._waiting.get()) is not None:
                carry_out(decided, self._context)
        except BaseException as error:  # noqa: BLE001 - end() raises it again
            self._failure = error

    def hand_over(self, decided: Decided | None) -> bool:
        """Queue a round, waiting for the one before it; return False if the thread has ended."""
        while self.is_alive():
            with contextlib.suppress(queue.Full):
                self._waiting.put(decided, timeout=_CHECK)
                return True
        return False

    def end(self) -> None:
        """Wait for the last round; raise the error that ended the thread, if any."""
        self.hand_over(None)
        self.join()
        if self._failure is not None:
            raise self._failure


def decide(deliveries: Sequence[Delivery], context: ServiceContext) -> Decided:
    """Decide all events of the deliveries by one policy set."""
    replies = [_Reply() for _ in deliveries]
    events: list[Any] = []
    origins: list[tuple[int, int]] = []
    for number, delivery in enumerate(deliveries):
        for line, event in unpack(delivery, context.form):
            if isinstance(event, EventError):
                replies[number].bad.append(BadRecord(line, event))
            else:
                events.append(event)
                origins.append((number, line))
    digest = context.engine.policies.digest
    plans = context.engine.evaluate_many(events, on_error="collect")
    planned: list[_Planned] = []
    for (number, line), event, plan in zip(origins, events, plans, strict=True):
        if isinstance(plan, EventError):
            replies[number].bad.append(BadRecord(line, plan))
            continue
        replies[number].events += 1
        if plan:
            digest = plan.policy_set
            planned.append(_Planned(plan, event, number, line))
    return Decided(deliveries, replies, planned, len(events), digest)


def carry_out(decided: Decided, context: ServiceContext) -> None:
    """Carry out a decided round and answer each delivery."""
    deliveries, replies, planned, events, digest = decided
    with (context.tracer or _NoTracer()).round(len(deliveries), events) as outcomes:
        for batch in _batches(planned, deliveries):
            outcomes.extend(_carry_out(batch, deliveries, replies, context))
    _answer(deliveries, replies, digest, context)


def _batches(planned: Sequence[_Planned], deliveries: Sequence[Delivery]) -> Iterator[Sequence[_Planned]]:
    """Yield the plans in order, in batches for one call each: limited in number and in the spread of arrival times."""
    start, first, last = 0, 0.0, 0.0
    for index, item in enumerate(planned):
        arrived = deliveries[item.delivery].arrived
        first, last = min(first, arrived), max(last, arrived)
        # A batch counts as old as its oldest event: an event that waited in a broker must not age a fresh one.
        if index == start or index - start == _MAX_PLANS or last - first > _MAX_SPREAD:
            if index > start:
                yield planned[start:index]
            start, first, last = index, arrived, arrived
    if planned:
        yield planned[start:]


def _carry_out(
    planned: Sequence[_Planned], deliveries: Sequence[Delivery], replies: Sequence[_Reply], context: ServiceContext
) -> list[StepOutcome]:
    outcomes: list[StepOutcome] = []
    for item, report in zip(planned, _reports(planned, deliveries, replies, context), strict=True):
        if report is None:
            continue
        source = deliveries[item.delivery].source
        replies[item.delivery].outcomes.update(outcome.status for outcome in report)
        for outcome in report:
            context.observer.outcome(source, item.line, outcome)
        for alarm in report.alarms:
            context.observer.outcome(source, 0, alarm)
        outcomes += (*report.outcomes, *report.alarms)
    context.counts.count_steps((outcome.action, outcome.status) for outcome in outcomes)
    return outcomes


def _reports(
    planned: Sequence[_Planned], deliveries: Sequence[Delivery], replies: Sequence[_Reply], context: ServiceContext
) -> list[ExecutionReport | None]:
    """Return the report of each plan; None for a plan that cannot be carried out, which is recorded as a bad event."""
    plans, events = [item.plan for item in planned], [item.event for item in planned]
    # The earliest arrival: an event that waited long must not count as one that just came.
    arrived = min(deliveries[item.delivery].arrived for item in planned)
    try:
        return list(
            execute_many(plans, context.executors, context.guard, context.journal, events=events, arrived=arrived)
        )
    except Exception as error:  # noqa: BLE001 - one event must not end the service or stop the others
        if len(planned) > 1:
            return [_reports([item], deliveries, replies, context)[0] for item in planned]
        item = planned[0]
        reason = "nested too deeply" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"
        wrong = EventError("id" if isinstance(error, RecursionError) else "", f"cannot be carried out: {reason}")
        replies[item.delivery].events -= 1
        replies[item.delivery].bad.append(BadRecord(item.line, wrong))
        return [None]


def _answer(deliveries: Sequence[Delivery], replies: Sequence[_Reply], digest: str, context: ServiceContext) -> None:
    for delivery, reply in zip(deliveries, replies, strict=True):
        reply.bad.sort(key=lambda bad: bad.line)
        for bad in reply.bad:
            context.observer.bad(delivery.source, bad)
        context.counts.count_events(delivery.kind, reply.events, len(reply.bad))
        context.counts.count_latency(max(0.0, time.time() - delivery.arrived))
    # Flush the log before answering senders, so that a sender that has its answer can find its lines in the log.
    context.observer.flush()
    for delivery, reply in zip(deliveries, replies, strict=True):
        if delivery.done is not None:
            delivery.done(DeliveryResult(reply.events, tuple(reply.bad), dict(reply.outcomes), digest))
