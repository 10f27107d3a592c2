"""The bounded queue between the sources and the service loop. Every delivery in it is accepted and will be decided."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from spyderresp.errors import EventError, SpyderrespError
from spyderresp.events.json_decoder import decode_event
from spyderresp.events.records import converted, to_event, too_long

MAX_EVENTS: Final = 50_000
MAX_BYTES: Final = 64 * 1024 * 1024


class ClosedError(SpyderrespError):
    """The intake accepts nothing more: the service is ending."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """An event that could not be decided.

    Attributes:
        line: its line in the delivery, from 1.
        error: what is wrong, and where in the event.
    """

    line: int
    error: EventError


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The result of a delivery.

    Attributes:
        events: the number of events that were decided.
        bad: the events that could not be decided, in order.
        outcomes: the number of steps with each outcome.
        policy_set: the digest of the policies that decided.
    """

    events: int
    bad: tuple[BadRecord, ...]
    outcomes: Mapping[str, int]
    policy_set: str


@dataclass(slots=True)
class Delivery:
    """Records that a source hands in together.

    Attributes:
        source: where they come from, for log lines.
        data: JSON lines; if ``whole``, one JSON value: an object or a list of objects.
        arrived: when they arrived, in epoch seconds; for messages of a broker, when the broker received them.
        done: called once with the result, in another thread, after steps and outcomes are in the journal.
        first: the number of the first line.
        long: the numbers of lines that were dropped because they are too long.
        limit: the most bytes of a line, for the errors of these lines.
        whole: whether ``data`` is one JSON value instead of lines.
        kind: the kind of the source, such as ``http``, for the metrics.
        size: about how many events they hold.
    """

    source: str
    data: bytes
    arrived: float
    done: Callable[[DeliveryResult], None] | None = None
    first: int = 1
    long: Sequence[int] = ()
    limit: int = 0
    whole: bool = False
    kind: str = "file"
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = self.data.count(b"\n") + 1


class Intake:
    """The queue. Safe to use from several threads.

    Args:
        max_events: the most events that may wait. An empty queue accepts a delivery of any size.
        max_bytes: the most bytes that may wait.
    """

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self._waiting: deque[Delivery] = deque()
        self._events = 0
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def depth(self) -> int:
        """About how many events are waiting."""
        return self._events

    @property
    def full(self) -> bool:
        """Whether the limits are reached, so that deliveries are refused."""
        return self._events >= self.max_events or self._bytes >= self.max_bytes

    @property
    def closed(self) -> bool:
        """Whether nothing more is accepted. For a source that still runs: no further result will come either."""
        return self._closed

    def offer(self, delivery: Delivery) -> bool:
        """Accept a delivery and return True; return False if there is no room.

        Raises:
            ClosedError: the service is ending.
        """
        with self._changed:
            if self._closed:
                raise ClosedError
            if not self._room(delivery):
                return False
            self._add(delivery)
            return True

    def put(self, delivery: Delivery) -> None:
        """Wait for room, then accept a delivery.

        Raises:
            ClosedError: the service is ending; the delivery was not accepted.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._room(delivery))
            if self._closed:
                raise ClosedError
            self._add(delivery)

    def take(self, events: int, timeout: float | None = None) -> list[Delivery] | None:
        """Remove and return the oldest deliveries, of about ``events`` events together; wait for the first.

        Returns an empty list if none arrived within ``timeout`` seconds, and None if the intake is closed and empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting, timeout)
            if not self._waiting:
                return None if self._closed else []
            taken = [self._remove()]
            count = taken[0].size
            while self._waiting and (count := count + self._waiting[0].size) <= events:
                taken.append(self._remove())
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Accept nothing more. Accepted deliveries can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _room(self, delivery: Delivery) -> bool:
        return not self._waiting or (
            self._events + delivery.size <= self.max_events and self._bytes + len(delivery.data) <= self.max_bytes
        )

    def _add(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._events += delivery.size
        self._bytes += len(delivery.data)
        self._changed.notify_all()

    def _remove(self) -> Delivery:
        delivery = self._waiting.popleft()
        self._events -= delivery.size
        self._bytes -= len(delivery.data)
        return delivery


def unpack(delivery: Delivery, form: str | None) -> Iterator[tuple[int, Any]]:
    """Yield the line of each record of a delivery, and its event or an ``EventError``."""
    for number in delivery.long:
        yield number, too_long(delivery.limit)
    data = delivery.data
    if delivery.whole and not _is_lines(data):
        try:
            value = decode_event(data)
        except EventError as error:
            yield delivery.first, error
            return
        for number, record in enumerate(value if isinstance(value, list) else [value], 1):
            yield number, _attempt(converted, record, form)
        return
    for number, line in enumerate(data.split(b"\n"), delivery.first):
        if line and not line.isspace():
            yield number, _attempt(to_event, line.removesuffix(b"\r"), form)


def _is_lines(data: bytes) -> bool:
    """Return whether ``data`` is JSON lines although it was sent as one value: line 1 is an object and more follows."""
    first, _, rest = data.strip().partition(b"\n")
    if not rest or not first.startswith(b"{"):
        return False
    try:
        return isinstance(decode_event(first), dict)
    except EventError:
        return False


def _attempt(read: Callable[[Any, str | None], Any], record: Any, form: str | None) -> Any:
    try:
        return read(record, form)
    except EventError as error:
        return error
