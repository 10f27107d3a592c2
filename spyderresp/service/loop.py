"""Rounds: what was accepted is decided, carried out and answered, in the order in which it came.

One thread decides, another carries out, a round behind: while one waits for the disk the other decodes. A round takes
what waits, up to ``ROUND`` events: the busier the service, the more events share one commit of the journal. A delivery
is answered after its steps and their outcomes are in the journal (docs/decisions/0036-answers.md).
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
from spyderresp.execution.interfaces import Executor, StepGuard, StepJournal
from spyderresp.execution.report import ExecutionReport, StepOutcome
from spyderresp.service.intake import BadRecord, Delivery, DeliveryResult, Intake, unpack
from spyderresp.service.metrics import Counts, ServiceObserver

#: About how many events one round takes.
ROUND: Final = 2000
# Every target of one call is held open at once, by a descriptor each.
_PLANS_AT_ONCE: Final = 200
# How far apart in time what one call carries out may have come, in seconds.
_AT_ONCE: Final = 5.0
# How often to look whether whoever carries out is still there.
_LOOK: Final = 0.5


@dataclass(frozen=True)
class ServiceContext:
    """Everything that decides and acts, and hears of it.

    Attributes:
        engine: decides.
        executors: act.
        guard: refuses.
        journal: remembers; None: nothing does.
        form: the form of the records; None: recognised one by one.
        teller: hears of bad events and outcomes.
        counts: what is counted.
        tracer: hears of rounds; None: nobody does.
    """

    engine: Engine
    executors: tuple[Executor, ...]
    guard: StepGuard
    journal: StepJournal | None
    teller: ServiceObserver
    form: str | None = None
    counts: Counts = field(default_factory=Counts)
    tracer: Tracer | None = None


class Tracer(Protocol):
    """Hears of rounds as they happen."""

    def round(self, deliveries: int, events: int) -> AbstractContextManager[list[StepOutcome]]:
        """Return what is entered with a round and left with it; it is given the outcomes meanwhile."""


class _Untold:
    """Nobody hears of rounds."""

    def round(self, deliveries: int, events: int) -> AbstractContextManager[list[StepOutcome]]:  # noqa: ARG002
        return contextlib.nullcontext([])


class _Planned(NamedTuple):
    """A plan that asks for something."""

    plan: ActionPlan
    event: Any
    delivery: int
    line: int


class _Told:
    """What is to be answered about one delivery."""

    def __init__(self) -> None:
        self.events = 0
        self.bad: list[BadRecord] = []
        self.outcomes: Counter[str] = Counter()


class Decided(NamedTuple):
    """A round that is decided, and not carried out yet."""

    deliveries: Sequence[Delivery]
    told: Sequence[_Told]
    planned: Sequence[_Planned]
    events: int
    digest: str


def serve(intake: Intake, hands: ServiceContext, *, events: int = ROUND) -> None:
    """Take rounds until the intake is closed and empty.

    Raises:
        Exception: what ended the rounds early; what was accepted and is not answered stays so.
    """
    # One round is decided while the one before it waits for the disk; no more than that, or they would pile up here.
    waiting: queue.Queue[Decided | None] = queue.Queue(maxsize=1)
    acting = _Acting(waiting, hands)
    acting.start()
    while (deliveries := intake.take(events, _LOOK)) is not None:
        # Nothing may come any more: whoever waits for an answer must not be left waiting where nobody gives it.
        going_on = acting.hand_over(decide(deliveries, hands)) if deliveries else acting.is_alive()
        if not going_on:
            break
    acting.end()


class _Acting(threading.Thread):
    """Carries out what is decided, round by round."""

    def __init__(self, waiting: queue.Queue[Decided | None], hands: ServiceContext) -> None:
        super().__init__(name="acting", daemon=True)
        self._waiting = waiting
        self._hands = hands
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            while (decided := self._waiting.get()) is not None:
                carry_out(decided, self._hands)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever hands rounds over
            self._failure = error

    def hand_over(self, decided: Decided | None) -> bool:
        """Wait until the round before is done with; return False where there is nobody to take it."""
        while self.is_alive():
            with contextlib.suppress(queue.Full):
                self._waiting.put(decided, timeout=_LOOK)
                return True
        return False

    def end(self) -> None:
        """Wait for the last round, and raise what went wrong."""
        self.hand_over(None)
        self.join()
        if self._failure is not None:
            raise self._failure


def decide(deliveries: Sequence[Delivery], hands: ServiceContext) -> Decided:
    """Decide what was delivered, all of it by one policy set."""
    told = [_Told() for _ in deliveries]
    events: list[Any] = []
    places: list[tuple[int, int]] = []
    for number, delivery in enumerate(deliveries):
        for line, event in unpack(delivery, hands.form):
            if isinstance(event, EventError):
                told[number].bad.append(BadRecord(line, event))
            else:
                events.append(event)
                places.append((number, line))
    digest = hands.engine.policies.digest
    plans = hands.engine.evaluate_many(events, on_error="collect")
    planned: list[_Planned] = []
    for (number, line), event, plan in zip(places, events, plans, strict=True):
        if isinstance(plan, EventError):
            told[number].bad.append(BadRecord(line, plan))
            continue
        told[number].events += 1
        if plan:
            digest = plan.policy_set
            planned.append(_Planned(plan, event, number, line))
    return Decided(deliveries, told, planned, len(events), digest)


def carry_out(decided: Decided, hands: ServiceContext) -> None:
    """Carry out what was decided, and answer each delivery."""
    deliveries, told, planned, events, digest = decided
    with (hands.tracer or _Untold()).round(len(deliveries), events) as heard:
        for together in _together(planned, deliveries):
            heard.extend(_carry_out(together, deliveries, told, hands))
    _answer(deliveries, told, digest, hands)


def _together(planned: Sequence[_Planned], deliveries: Sequence[Delivery]) -> Iterator[Sequence[_Planned]]:
    """Yield in their order what is carried out by one call: not too many, and what came at about the same time."""
    start, first, last = 0, 0.0, 0.0
    for place, item in enumerate(planned):
        arrived = deliveries[item.delivery].arrived
        first, last = min(first, arrived), max(last, arrived)
        # What lay in a broker for long must not make what has just come as old as it is.
        if place == start or place - start == _PLANS_AT_ONCE or last - first > _AT_ONCE:
            if place > start:
                yield planned[start:place]
            start, first, last = place, arrived, arrived
    if planned:
        yield planned[start:]


def _carry_out(
    planned: Sequence[_Planned], deliveries: Sequence[Delivery], told: Sequence[_Told], hands: ServiceContext
) -> list[StepOutcome]:
    heard: list[StepOutcome] = []
    for item, report in zip(planned, _reports(planned, deliveries, told, hands), strict=True):
        if report is None:
            continue
        source = deliveries[item.delivery].source
        told[item.delivery].outcomes.update(outcome.status for outcome in report)
        for outcome in report:
            hands.teller.outcome(source, item.line, outcome)
        for alarm in report.alarms:
            hands.teller.outcome(source, 0, alarm)
        heard += (*report.outcomes, *report.alarms)
    hands.counts.took((outcome.action, outcome.status) for outcome in heard)
    return heard


def _reports(
    planned: Sequence[_Planned], deliveries: Sequence[Delivery], told: Sequence[_Told], hands: ServiceContext
) -> list[ExecutionReport | None]:
    """Return the reports; None for a plan that cannot be carried out, after saying so."""
    plans, events = [item.plan for item in planned], [item.event for item in planned]
    # The earliest arrival: an event that waited long must not count as one that just came.
    arrived = min(deliveries[item.delivery].arrived for item in planned)
    try:
        return list(execute_many(plans, hands.executors, hands.guard, hands.journal, events=events, arrived=arrived))
    except Exception as error:  # noqa: BLE001 - one event must not end the service, nor keep others from being decided
        if len(planned) > 1:
            return [_reports([item], deliveries, told, hands)[0] for item in planned]
        item = planned[0]
        reason = "nested too deeply" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"
        wrong = EventError("id" if isinstance(error, RecursionError) else "", f"cannot be carried out: {reason}")
        told[item.delivery].events -= 1
        told[item.delivery].bad.append(BadRecord(item.line, wrong))
        return [None]


def _answer(deliveries: Sequence[Delivery], told: Sequence[_Told], digest: str, hands: ServiceContext) -> None:
    for delivery, said in zip(deliveries, told, strict=True):
        said.bad.sort(key=lambda bad: bad.line)
        for bad in said.bad:
            hands.teller.bad(delivery.source, bad)
        hands.counts.answered(delivery.kind, said.events, len(said.bad))
        hands.counts.waited(max(0.0, time.time() - delivery.arrived))
    # All lines of the round are said before anybody hears that it is over.
    hands.teller.flush()
    for delivery, said in zip(deliveries, told, strict=True):
        if delivery.done is not None:
            delivery.done(DeliveryResult(said.events, tuple(said.bad), dict(said.outcomes), digest))
