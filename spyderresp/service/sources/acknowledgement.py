"""What Kafka and NATS share: the way of a message from the broker to its acknowledgement.

::

    read -> backlog -> intake -> result -> acknowledge
                                   |
                                   +-> dead letter, written -> acknowledge

The intake returns a result after the steps of the message and their outcomes are in the journal. A dead letter is
written before its message is acknowledged. The broker delivers a message again that is not acknowledged.

``BrokerReader`` does no input or output. Its subclasses read, acknowledge and write dead letters.
"""

from __future__ import annotations

import contextlib
import queue
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import ClassVar, Final, Generic, TypeVar

from spyderresp.execution.backoff import Backoff
from spyderresp.service.config.settings import SenderLimits
from spyderresp.service.intake import Delivery, DeliveryResult, Intake
from spyderresp.service.metrics import Counts, Level, ServiceObserver

#: The most messages of one read.
BATCH: Final = 500
#: Seconds between two checks for room in the intake.
ROOM_CHECK: Final = 0.02
# Seconds for the last dead letters and acknowledgements after the last result.
_LAST: Final = 5.0
_LETTER_BACKOFF: Final = Backoff(first=0.5, longest=15.0, attempts=None)
# The longest reason in a dead letter, in characters.
_MAX_REASON: Final = 1000
# Seconds until a problem that persists is reported again.
_REPORT_AGAIN: Final = 300.0


def fault_of(result: DeliveryResult) -> str | None:
    """Return why a message is a dead letter; None if it holds at least one event and all were decided."""
    if not result.bad:
        return None if result.events else "no event is in it"
    first = str(result.bad[0].error)
    more = len(result.bad) - 1
    reason = f"{first} (and {more:,} more)" if more else first
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in reason[:_MAX_REASON])


def letter_id(*position: object) -> str:
    """Return the id of a dead letter, made from the position of its message: the same for every attempt to write it."""
    return sha256("\n".join(map(str, position)).encode()).hexdigest()


class ProblemReports:
    """Reports each kind of problem once, again every five minutes while it persists, and its end.

    Args:
        name: the name of the source.
        observer: receives the reports.
        steady: returns seconds of a clock that never goes back.
    """

    def __init__(self, name: str, observer: ServiceObserver, steady: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._observer = observer
        self._steady = steady
        self._reported: dict[str, float] = {}

    def report(self, kind: str, message: str, level: Level = "warning") -> None:
        """Report a problem, unless one of this kind was reported within five minutes."""
        now = self._steady()
        if now - self._reported.get(kind, -_REPORT_AGAIN) >= _REPORT_AGAIN:
            self._reported[kind] = now
            self._observer.say(level, f"{self._name}: {message}")

    def solved(self, kind: str) -> None:
        """Report the end of a problem, if the problem was reported."""
        if self._reported.pop(kind, None) is not None:
            self._observer.say("info", f"{self._name}: works again")


@dataclass(slots=True, eq=False)
class PendingMessage:
    """A message that was read and is not acknowledged.

    Attributes:
        source: its place at the broker, for log lines, such as ``kafka events[0]@17``.
        value: its content.
        arrived: when the broker received it, in epoch seconds; now, if the broker reports a later time.
        fault: why it is a dead letter; None: it is not one, or has no result yet.
        without_value: whether its dead letter leaves the value out, because with it the letter is too large.
        identity: equal for two deliveries of one message; by default each delivery is a message of its own.
    """

    source: str
    value: bytes
    arrived: float
    fault: str | None = None
    without_value: bool = False
    identity: Hashable = field(default_factory=object)


M = TypeVar("M", bound=PendingMessage)


class BrokerReader(ABC, Generic[M]):
    """The pending messages of one broker. One thread uses it; results arrive from another.

    Args:
        name: the name of the source in log lines.
        observer: receives reports of problems.
        counts: counts dead letters.
        dead_letters: the topic or subject that receives messages that cannot be decided.
        limits: the most bytes of a message, and the most pending messages and their bytes.
    """

    kind: ClassVar[str]

    def __init__(
        self, name: str, observer: ServiceObserver, counts: Counts, dead_letters: str, limits: SenderLimits
    ) -> None:
        self._name = name
        self._counts = counts
        self._dead_letters = dead_letters
        self._max_size = limits.body
        self._max_events = limits.events
        self._max_bytes = limits.bytes
        self._problems = ProblemReports(name, observer)
        # run() replaces it.
        self._intake = Intake()
        self._pending: dict[Hashable, M] = {}
        self._bytes = 0
        # Messages that were read and are not in the intake.
        self._backlog: deque[M] = deque()
        # The number of messages in the intake without a result.
        self._undecided = 0
        self._results: queue.SimpleQueue[tuple[M, DeliveryResult]] = queue.SimpleQueue()
        # Dead letters that are not written.
        self._letters: deque[M] = deque()
        # No dead letter is written before this time.
        self._letters_due = 0.0
        # The number of failures in a row.
        self._letter_failures = 0
        # When waiting at the end is over.
        self._last: float | None = None

    @property
    def name(self) -> str:
        return self._name

    def close(self) -> None:
        """Do nothing: ``run`` closes what it opens."""

    @abstractmethod
    def _acknowledge(self, message: M) -> None:
        """Acknowledge a message: its outcomes are in the journal, or its dead letter is written."""

    def _accepted(self, message: M) -> None:
        """Run after the intake accepted a message."""

    def _result_arrived(self) -> None:
        """Run in the thread of the service loop after a result was queued."""

    def _full(self) -> bool:
        """Return whether no more may be read now."""
        return bool(self._backlog) or len(self._pending) >= self._max_events or self._bytes >= self._max_bytes

    def _add(self, message: M) -> None:
        """Add a message that was read."""
        self._pending[message.identity] = message
        self._bytes += len(message.value)
        self._backlog.append(message)

    def _remove(self, message: M) -> None:
        """Remove a message: it was acknowledged, or given back to the broker."""
        del self._pending[message.identity]
        self._bytes -= len(message.value)

    def _hand_in(self) -> None:
        """Move messages from the backlog to the intake while the intake has room."""
        while self._backlog and self._intake.offer(self._delivery(self._backlog[0])):
            self._undecided += 1
            self._accepted(self._backlog.popleft())

    def _delivery(self, message: M) -> Delivery:
        too_long = len(message.value) > self._max_size

        def done(result: DeliveryResult) -> None:
            self._results.put((message, result))
            self._result_arrived()

        return Delivery(
            message.source,
            b"" if too_long else message.value,
            message.arrived,
            done,
            long=(1,) if too_long else (),
            limit=self._max_size,
            whole=not too_long,
            kind=self.kind,
        )

    def _settle(self, wait: float = 0.0) -> None:
        """Acknowledge the messages whose results have arrived; first wait ``wait`` seconds at most for one result."""
        with contextlib.suppress(queue.Empty):
            while True:
                message, result = self._results.get(wait > 0, wait)
                wait = 0.0
                self._undecided -= 1
                message.fault = fault_of(result)
                if message.fault is None:
                    self._acknowledge(message)
                else:
                    self._letters.append(message)

    def _due_letters(self) -> Iterator[M]:
        """Take dead letters out of the queue to write them, until one fails; none before its pause is over."""
        for _ in range(len(self._letters)):
            if time.monotonic() < self._letters_due:
                return
            yield self._letters.popleft()

    def _letter_written(self, message: M) -> None:
        self._letter_failures = 0
        self._problems.solved("dead letters")
        self._counts.count_dead_letter(self.kind)
        self._acknowledge(message)

    def _letter_failed(self, message: M, reason: str) -> None:
        """Queue a dead letter again and pause; letters that fail during a pause do not prolong it."""
        self._letters.append(message)
        if (now := time.monotonic()) >= self._letters_due:
            self._letter_failures += 1
            self._letters_due = now + _LETTER_BACKOFF.wait(self._letter_failures)
        problem = f"dead letters cannot be written to `{self._dead_letters}`: {reason}"
        self._problems.report("dead letters", f"{problem}; their messages are not acknowledged", "error")

    def _draining(self) -> bool:
        """Return whether to go on at the end: until all results are there, and then a few seconds for the rest."""
        now = time.monotonic()
        if self._undecided or self._last is None:
            self._last = now + _LAST
        return bool(self._pending) and not self._intake.closed and now <= self._last
