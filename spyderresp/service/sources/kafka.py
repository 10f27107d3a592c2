"""Events out of Kafka topics, as a member of a consumer group. Extra ``kafka``.

An offset is committed when everything about the events up to it is in the journal, and dead letters among them have
arrived (docs/decisions/0052-events-out-of-kafka.md). What was not committed comes again after a crash, to this member
or to another.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from spyderresp.execution.backoff import Backoff
from spyderresp.service.intake import ClosedError, Delivery, DeliveryResult, Intake
from spyderresp.service.metrics import Counts, ServiceObserver
from spyderresp.service.sources.base import SourceError, Stop, Trouble, fault_of, letter_id

# Up to where a partition is done: what is answered in any order is acknowledged in the partition's own.


class PartitionProgress:
    """How far one partition is done, for as long as it is ours.

    Attributes:
        next: the offset to go on at: everything before it is done. None: nothing is yet.
        ours: whether it is still this consumer's; what is answered later counts for nothing.
    """

    def __init__(self) -> None:
        self.next: int | None = None
        self.ours = True
        self._open: deque[int] = deque()
        self._done: set[int] = set()
        self._told: int | None = None

    @property
    def waits(self) -> bool:
        """Whether anything that was begun is not done."""
        return bool(self._open)

    def begin(self, offset: int) -> None:
        """Note that a message was handed in; offsets only grow."""
        self._open.append(offset)

    def end(self, offset: int) -> None:
        """Note that everything about a message is done."""
        self._done.add(offset)
        while self._open and self._open[0] in self._done:
            first = self._open.popleft()
            self._done.remove(first)
            # Offsets have gaps; what was not handed in before the next one does not exist.
            self.next = first + 1

    def next_commit(self) -> int | None:
        """Return the offset to commit; None where the broker was told of it already."""
        if self.next == self._told:
            return None
        self._told = self.next
        return self.next

    def commit_failed(self) -> None:
        """Note that the broker did not take what it was last told."""
        self._told = None


# What cannot be decided of Kafka's messages, on its way to a topic of dead letters. Extra ``kafka``.

_BACKOFF: Final = Backoff(first=0.5, longest=30.0, attempts=None)
# What a dead letter adds to its message: headers, at most.
_ROOM: Final = 65_536


@dataclass(slots=True)
class PendingMessage:
    """A message that is not done.

    Attributes:
        topic, partition, offset: where it stands.
        key, value, headers: what it is.
        time: when it came, in epoch seconds; not later than now, whatever the broker says.
        stamp: when it came, as the broker says, in milliseconds.
        progress: of its partition.
        fault: why it is a dead letter, if it is.
        failures: how often it could not be sent.
        bare: whether it goes without its value.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    time: float
    stamp: int
    progress: PartitionProgress
    fault: str = ""
    failures: int = 0
    bare: bool = False


class DeadLetters:
    """Sends dead letters, each for as long as it takes. Used by one thread.

    Args:
        connection: librdkafka's settings of a connection.
        topic: where they go.
        counts: counts those that have arrived.
        trouble: hears of those that cannot be sent.
        end: told when a letter has arrived, or is somebody else's.
        max_size: the most bytes of a message that is not too large anyway.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        topic: str,
        counts: Counts,
        trouble: Trouble,
        end: Callable[[PendingMessage], None],
        *,
        max_size: int,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._counts = counts
        self._trouble = trouble
        self._end = end
        self._max_size = max_size
        self._producer: Any = None
        # Those to be sent, and when.
        self._waiting: deque[tuple[float, PendingMessage]] = deque()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._producer)

    def open(self) -> None:
        """Make the producer; it connects by itself.

        Raises:
            KafkaException: it cannot be set up so.
        """
        self._producer = Producer(
            {
                **self._connection,
                "acks": "all",
                "message.max.bytes": self._max_size + _ROOM,
                "message.timeout.ms": 30_000,
                "linger.ms": 0,
            }
        )

    def dead_letter(self, held: PendingMessage, fault: str) -> None:
        """Take a message that is a dead letter."""
        held.fault = fault
        self._waiting.append((0.0, held))

    def look(self) -> None:
        """Send what is due, and hear of what has arrived."""
        now = time.monotonic()
        for _ in range(len(self._waiting)):
            due, held = self._waiting.popleft()
            if not held.progress.ours:
                # Whose it is now will find the same, and send it.
                self._end(held)
            elif due > now:
                self._waiting.append((due, held))
            else:
                self._send(held)
        self._producer.poll(0)

    def _send(self, held: PendingMessage) -> None:
        headers = [*held.headers, *_told_of(held)]
        value = None if held.bare else held.value

        def arrived(error: KafkaError | None, _: Message) -> None:
            self._sent(held, error)

        try:
            self._producer.produce(self._topic, value, held.key, headers=headers, on_delivery=arrived)
        except BufferError:
            self._put_off(held, "too many wait to be sent")
        except KafkaException as error:
            self._sent(held, error.args[0])

    def _sent(self, held: PendingMessage, error: KafkaError | None) -> None:
        """Hear what came of a letter."""
        if error is None:
            self._trouble.over("dead letters")
            self._counts.dead_letter("kafka")
            self._end(held)
        elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE and not held.bare:
            # The topic takes less: where the message stands is told at least.
            held.bare = True
            self._waiting.append((0.0, held))
        else:
            self._put_off(held, reason_of(error))

    def _put_off(self, held: PendingMessage, reason: str) -> None:
        held.failures += 1
        self._waiting.append((time.monotonic() + _BACKOFF.wait(held.failures), held))
        said = f"dead letters cannot be written to `{self._topic}`: {reason}; what they hold is not acknowledged"
        self._trouble.say("dead letters", said, "error")


def reason_of(error: Any) -> str:
    """Return what an error of the client says, in lower case."""
    text = error.str() if isinstance(error, KafkaError) else str(error)
    return text[:1].lower() + text[1:]


def _told_of(held: PendingMessage) -> list[tuple[str, bytes]]:
    """Return what a dead letter says of its message."""
    said = {
        "reason": held.fault,
        "topic": held.topic,
        "partition": held.partition,
        "offset": held.offset,
        "id": letter_id("kafka", held.topic, held.partition, held.offset, held.stamp),
    }
    if held.bare:
        said["left-out"] = f"{len(held.value)} bytes are more than the topic takes"
    return [(f"spyderresp-{name}", str(value).encode()) for name, value in said.items()]


_BATCH: Final = 500
_POLL: Final = 0.1
# How soon to ask again whether there is room.
_AGAIN: Final = 0.02
_COMMIT: Final = 0.5
# How long what was handed in may take before its partitions are given away, and dead letters at the end.
_HAND_OVER: Final = 10.0
_LAST: Final = 5.0


class Kafka:
    """Reads topics for as long as it is let.

    Args:
        name: what messages call it.
        topics: their names.
        connection: of librdkafka's settings those that say where the brokers are, and who we are.
        group: the consumer group.
        start: where to begin in a partition of which the group has no offset: ``earliest``, ``latest``.
        dead_letters: the topic that what cannot be decided goes to.
        session: for how many seconds the group waits for a member that is silent.
        observer: receives messages about trouble.
        counts: counts dead letters.
        max_size: the most bytes of a message.
        max_events: how many messages may be read and not done.
        max_bytes: how many bytes these may have.
    """

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        connection: Mapping[str, Any],
        observer: ServiceObserver,
        counts: Counts,
        *,
        group: str,
        start: str,
        dead_letters: str,
        session: float,
        max_size: int,
        max_events: int,
        max_bytes: int,
    ) -> None:
        self._name = name
        self._topics = list(topics)
        # What it logs by itself is a line for each attempt to connect.
        self._connection = {**connection, "client.id": "spyderresp", "log_level": 2, "error_cb": self._error}
        self._group = group
        self._start = start
        self._session = session
        self._max_size = max_size
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._trouble = Trouble(name, observer)
        self._letters = DeadLetters(self._connection, dead_letters, counts, self._trouble, self._end, max_size=max_size)
        self._consumer: Any = None
        self._intake = Intake()
        self._ours: dict[tuple[str, int], PartitionProgress] = {}
        # Read and not handed in; handed in and answered.
        self._waiting: deque[tuple[PendingMessage, Delivery]] = deque()
        self._answers: queue.SimpleQueue[tuple[PendingMessage, DeliveryResult]] = queue.SimpleQueue()
        self._held = 0
        self._bytes = 0
        self._paused = False
        self._next_commit = 0.0

    @property
    def name(self) -> str:
        return self._name

    def open(self) -> None:
        try:
            self._consumer = Consumer(
                {
                    **self._connection,
                    "group.id": self._group,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": self._start,
                    # Partitions that stay are read on while others are handed over.
                    "partition.assignment.strategy": "cooperative-sticky",
                    "session.timeout.ms": int(self._session * 1000),
                    "heartbeat.interval.ms": max(1, int(self._session * 1000 / 10)),
                    "queued.max.messages.kbytes": 16_384,
                    "on_commit": self._committed,
                }
            )
            self._letters.open()
        except KafkaException as error:
            raise SourceError(f"{self._name}: {reason_of(error.args[0])}") from None

    def run(self, intake: Intake, stop: Stop) -> None:
        self._intake = intake
        try:
            self._consumer.subscribe(
                self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
            while not stop.called:
                self._settle()
                self._hand_in()
                self._hold_back()
                self._read()
                self._commit()
            self._finish()
        except ClosedError:
            pass
        except KafkaException as error:
            raise SourceError(f"{self._name}: {reason_of(error.args[0])}") from None
        finally:
            # Gives the partitions back, and commits what is done of them.
            self._consumer.close()

    def close(self) -> None:
        """Nothing is left: ``run`` gives everything back."""

    # Reading.

    def _read(self) -> None:
        """Take what has come."""
        message = self._consumer.poll(_AGAIN if self._waiting else _POLL)
        if message is None:
            return
        messages = [message, *self._consumer.consume(_BATCH, 0)]
        now = time.time()
        for each in messages:
            if (error := each.error()) is not None:
                self._error(error)
            else:
                self._take(each, now)

    def _take(self, message: Message, now: float) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        progress = self._ours.get((topic or "", partition or 0))
        if topic is None or partition is None or offset is None or progress is None:
            return
        self._trouble.over("down")
        kind, stamp = message.timestamp()
        # A message that lay there for long did not come just now: what it asks for may have expired.
        arrived = min(now, stamp / 1000) if kind else now
        value = message.value() or b""
        key, headers = _bytes(message.key()), _headers(message)
        held = PendingMessage(topic, partition, offset, key, _bytes(value) or b"", headers, arrived, stamp, progress)
        self._held += 1
        self._bytes += len(held.value)
        self._waiting.append((held, self._delivery(held)))

    def _delivery(self, held: PendingMessage) -> Delivery:
        long = len(held.value) > self._max_size

        def done(answer: DeliveryResult) -> None:
            self._answers.put((held, answer))

        return Delivery(
            f"kafka {held.topic}[{held.partition}]@{held.offset}",
            b"" if long else held.value,
            held.time,
            done,
            long=(1,) if long else (),
            limit=self._max_size,
            whole=not long,
            kind="kafka",
        )

    def _hand_in(self) -> None:
        """Hand in what was read, as far as there is room."""
        while self._waiting:
            held, delivery = self._waiting[0]
            if not self._intake.offer(delivery):
                return
            self._waiting.popleft()
            held.progress.begin(held.offset)

    def _hold_back(self) -> None:
        """Read no more where there is no room, but stay a member of the group."""
        full = bool(self._waiting) or self._held >= self._max_events or self._bytes >= self._max_bytes
        if full != self._paused:
            assigned = self._consumer.assignment()
            (self._consumer.pause if full else self._consumer.resume)(assigned)
            self._paused = full

    # Answers.

    def _settle(self, wait: float = 0.0) -> None:
        """Take the answers that are there, or the first that comes, and send dead letters."""
        try:
            while True:
                held, answer = self._answers.get(timeout=wait) if wait else self._answers.get_nowait()
                wait = 0.0
                fault = fault_of(answer)
                if fault is None:
                    self._end(held)
                else:
                    self._letters.dead_letter(held, fault)
        except queue.Empty:
            pass
        self._letters.look()

    def _end(self, held: PendingMessage) -> None:
        self._held -= 1
        self._bytes -= len(held.value)
        held.progress.end(held.offset)

    # Offsets.

    def _commit(self) -> None:
        """Commit what is done, now and then, without waiting."""
        if time.monotonic() < self._next_commit:
            return
        self._next_commit = time.monotonic() + _COMMIT
        if offsets := self._offsets(self._ours):
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def _offsets(self, places: Mapping[tuple[str, int], PartitionProgress]) -> list[TopicPartition]:
        found = ((place, progress.next_commit()) for place, progress in places.items())
        return [TopicPartition(*place, offset) for place, offset in found if offset is not None]

    def _committed(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        """Hear what came of a commit."""
        failed = [item for item in partitions if error is not None or item.error is not None]
        for item in failed:
            if (progress := self._ours.get((item.topic, item.partition))) is not None:
                progress.commit_failed()
        if failed:
            reason = reason_of(error or failed[0].error)
            self._trouble.say("commit", f"offsets cannot be committed: {reason}; trying again")
        else:
            self._trouble.over("down")
            self._trouble.over("commit")

    # The group.

    def _assigned(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:  # noqa: ARG002
        for item in partitions:
            self._ours[item.topic, item.partition] = PartitionProgress()
        # Those that are new are not paused.
        self._paused = self._paused and not partitions

    def _revoked(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Give partitions away: what was handed in of them is finished and committed first."""
        gone = self._drop_waiting(partitions)
        self._await(list(gone.values()), _HAND_OVER)
        for progress in gone.values():
            # What was told without waiting may have been refused since: the group was changing.
            progress.commit_failed()
        if offsets := self._offsets(gone):
            try:
                consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                reason = reason_of(error.args[0])
                self._trouble.say("hand over", f"partitions given away uncommitted: {reason}; others decide again")
        self._forget(gone)

    def _lost(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:  # noqa: ARG002
        """Hear that partitions are somebody else's already."""
        said = "the group gave partitions to others; what was not committed of them is decided there too"
        self._trouble.say("lost", said)
        self._forget(self._drop_waiting(partitions))

    def _drop_waiting(self, partitions: Sequence[TopicPartition]) -> dict[tuple[str, int], PartitionProgress]:
        """Let go of what was not handed in; return the partitions that were ours."""
        places = {(item.topic, item.partition) for item in partitions}
        kept: deque[tuple[PendingMessage, Delivery]] = deque()
        for held, delivery in self._waiting:
            if (held.topic, held.partition) in places:
                self._held -= 1
                self._bytes -= len(held.value)
            else:
                kept.append((held, delivery))
        self._waiting = kept
        return {place: self._ours[place] for place in places if place in self._ours}

    def _forget(self, gone: Mapping[tuple[str, int], PartitionProgress]) -> None:
        for place, progress in gone.items():
            progress.ours = False
            del self._ours[place]

    def _await(self, places: Sequence[PartitionProgress], seconds: float) -> None:
        """Wait until what was handed in is done, but not for ever."""
        until = time.monotonic() + seconds
        while any(place.waits for place in places) and time.monotonic() < until and not self._intake.closed:
            self._settle(_AGAIN)

    def _finish(self) -> None:
        """Told to stop: finish what was handed in, without leaving the group before."""
        self._drop_waiting([TopicPartition(*place) for place in self._ours])
        self._consumer.pause(self._consumer.assignment())
        last: float | None = None
        while any(progress.waits for progress in self._ours.values()) and not self._intake.closed:
            self._settle(_AGAIN)
            self._commit()
            # What comes now is nobody's: it was never handed in, and comes again.
            self._consumer.poll(0)
            if self._held > len(self._letters):
                last = None
            elif last is None:
                last = time.monotonic() + _LAST
            elif time.monotonic() > last:
                return

    def _error(self, error: KafkaError) -> None:
        """Hear of trouble. The client goes on by itself, but where it says that it cannot."""
        if error.fatal():
            raise KafkaException(error)
        code = error.code()
        if code in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE):
            self._trouble.say("down", f"cannot be reached: {reason_of(error)}; trying again")
        else:
            self._trouble.say(str(code), f"{reason_of(error)}; trying again", "error")


def _headers(message: Message) -> list[tuple[str, bytes]]:
    headers = cast("list[tuple[str, Any]]", message.headers() or [])
    return [(name, _bytes(value) or b"") for name, value in headers]


def _bytes(value: Any) -> bytes | None:
    return value if isinstance(value, bytes) else None if value is None else str(value).encode()
