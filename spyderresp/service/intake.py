"""The bounded queue between sources and rounds: what is in it was accepted, and will be decided."""

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
    """Nothing more is accepted: the service is ending."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """An event that could not be decided.

    Attributes:
        line: where it stood in what was delivered: its line, from 1.
        error: what is wrong, with the path in the event.
    """

    line: int
    error: EventError


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What became of a delivery.

    Attributes:
        events: how many events were decided.
        bad: those that could not be, in their order.
        outcomes: how many steps came to each outcome.
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
        source: what messages call the place they came from.
        data: JSON lines; or, where ``whole``, one JSON value: an object, or a list of objects.
        arrived: when they came, in epoch seconds; to the broker, for those out of one.
        done: told what became of them, once, after everything about them is in the journal; from another thread.
        first: the number of the first line.
        long: the numbers of lines that were too long to be kept.
        limit: the most bytes of a line, for what is said of these.
        whole: whether ``data`` is one JSON value rather than lines.
        kind: of the source, such as ``http``; figures are kept by it.
        size: about how many events these are.
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
        max_events: how many events may wait; one delivery is taken however many it holds, where nothing else waits.
        max_bytes: how many bytes may.
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
        """About how many events wait."""
        return self._events

    @property
    def full(self) -> bool:
        """Whether more is turned away now."""
        return self._events >= self.max_events or self._bytes >= self.max_bytes

    @property
    def closed(self) -> bool:
        """Whether nothing more is accepted. While a source still runs it means that nothing will be answered either."""
        return self._closed

    def offer(self, delivery: Delivery) -> bool:
        """Accept a delivery, or return False where there is no room.

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
        """Accept a delivery as soon as there is room.

        Raises:
            ClosedError: the service is ending; it was not accepted.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._room(delivery))
            if self._closed:
                raise ClosedError
            self._add(delivery)

    def take(self, events: int, timeout: float | None = None) -> list[Delivery] | None:
        """Return what has waited longest, up to about so many events; wait for it if need be.

        Returns an empty list where nothing came in time, and None where nothing will any more.
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
        """Accept nothing more. What was accepted is still to be taken."""
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


# Deliveries into events, each with its place.


def unpack(delivery: Delivery, form: str | None) -> Iterator[tuple[int, Any]]:
    """Yield the place of each record of a delivery, and its event or the ``EventError`` that is wrong with it."""
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
    """Tell whether what is called one value is lines of values: its first line is a whole object, and more follows."""
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
