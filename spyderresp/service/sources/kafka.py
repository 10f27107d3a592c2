"""Events out of Kafka topics, as a member of a consumer group. Extra ``kafka``.

An offset is committed after all messages of its partition up to it are acknowledged (``acknowledgement.py``,
docs/decisions/0052-events-out-of-kafka.md). After a crash Kafka delivers the others again, to this member or to
another.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from spyderresp.service.config.secrets import secret_text
from spyderresp.service.config.settings import SenderLimits
from spyderresp.service.config.source_settings import KafkaSource
from spyderresp.service.intake import ClosedError, Intake
from spyderresp.service.metrics import Counts, ServiceObserver
from spyderresp.service.sources.acknowledgement import BATCH, ROOM_CHECK, BrokerReader, PendingMessage, letter_id
from spyderresp.service.sources.base import SourceError, Stop

# Seconds that a poll waits for a message.
_POLL: Final = 0.1
# Seconds between commits.
_COMMIT: Final = 0.5
# Seconds that the messages in the intake may take before their partitions are given away.
_HAND_OVER: Final = 10.0
# The most bytes of the headers that a dead letter adds to its message.
_HEADER_ROOM: Final = 65_536


class PartitionProgress:
    """The offset to commit of one partition: messages are finished in any order, offsets are committed in theirs.

    Attributes:
        next: all messages before this offset are finished; None: no message is finished yet.
        ours: whether the partition is still assigned to this consumer. If not, nothing more is committed.
    """

    def __init__(self) -> None:
        self.next: int | None = None
        self.ours = True
        self._open: deque[int] = deque()
        self._done: set[int] = set()
        self._committed: int | None = None

    @property
    def waits(self) -> bool:
        """Whether a message that was begun is not finished."""
        return bool(self._open)

    def begin(self, offset: int) -> None:
        """Note that a message was handed in. Offsets only grow."""
        self._open.append(offset)

    def end(self, offset: int) -> None:
        """Note that a message is finished."""
        self._done.add(offset)
        while self._open and self._open[0] in self._done:
            first = self._open.popleft()
            self._done.remove(first)
            # Offsets have gaps. No message exists between this one and the next that was handed in.
            self.next = first + 1

    def next_commit(self) -> int | None:
        """Return the offset to commit; None if it is committed already."""
        if self.next == self._committed:
            return None
        self._committed = self.next
        return self.next

    def commit_failed(self) -> None:
        """Note that the last commit failed: ``next_commit`` returns its offset again."""
        self._committed = None


@dataclass(slots=True, eq=False, kw_only=True)
class KafkaMessage(PendingMessage):
    """A pending message of a topic: as Kafka delivered it, its offset, and the progress of its partition."""

    original: Message
    offset: int
    progress: PartitionProgress


class Kafka(BrokerReader[KafkaMessage]):
    """Reads topics until it is stopped. See ``BrokerReader`` for the arguments.

    Raises:
        SecretError: the password cannot be read.
    """

    kind = "kafka"

    def __init__(self, source: KafkaSource, observer: ServiceObserver, counts: Counts, limits: SenderLimits) -> None:
        name = f"kafka {','.join(source.servers)}/{','.join(source.topics)}"
        super().__init__(name, observer, counts, source.dead_letter_name, limits)
        self._source = source
        # At higher log levels librdkafka writes a line for each attempt to connect.
        self._connection = {**librdkafka(source), "client.id": "spyderresp", "log_level": 2, "error_cb": self._error}
        self._consumer: Any = None
        self._producer: Any = None
        self._assignment: dict[tuple[str, int], PartitionProgress] = {}
        self._paused = False
        self._next_commit = 0.0

    def open(self) -> None:
        try:
            self._consumer = Consumer(
                {
                    **self._connection,
                    "group.id": self._source.group,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "earliest" if self._source.start == "beginning" else "latest",
                    # Partitions that stay with this member are read on while others are handed over.
                    "partition.assignment.strategy": "cooperative-sticky",
                    "session.timeout.ms": int(self._source.session * 1000),
                    "heartbeat.interval.ms": max(1, int(self._source.session * 1000 / 10)),
                    "queued.max.messages.kbytes": 16_384,
                    "on_commit": self._committed,
                }
            )
            self._producer = Producer(
                {
                    **self._connection,
                    "acks": "all",
                    "message.max.bytes": self._max_size + _HEADER_ROOM,
                    "message.timeout.ms": 30_000,
                    "linger.ms": 0,
                }
            )
        except KafkaException as error:
            raise SourceError(f"{self._name}: {reason_of(error.args[0])}") from None

    def run(self, intake: Intake, stop: Stop) -> None:
        self._intake = intake
        try:
            topics = list(self._source.topics)
            self._consumer.subscribe(topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
            while not stop.called:
                self._process_results()
                self._hand_in()
                self._pause_if_full()
                self._read()
                self._commit()
            self._finish()
        except ClosedError:
            pass
        except KafkaException as error:
            raise SourceError(f"{self._name}: {reason_of(error.args[0])}") from None
        finally:
            # Leaves the group; _revoked commits the offsets of finished messages.
            self._consumer.close()

    # Reading.

    def _read(self) -> None:
        message = self._consumer.poll(ROOM_CHECK if self._backlog else _POLL)
        if message is None:
            return
        now = time.time()
        for each in (message, *self._consumer.consume(BATCH, 0)):
            if (error := each.error()) is not None:
                self._error(error)
            else:
                self._take(each, now)

    def _take(self, message: Message, now: float) -> None:
        topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset()
        progress = self._assignment.get((topic, partition))
        if offset is None or progress is None:
            return
        self._problems.solved("down")
        kind, timestamp = message.timestamp()
        # A message is as old as the broker says: a kill that it asks for may have expired.
        arrived = min(now, timestamp / 1000) if kind else now
        source, value = f"kafka {topic}[{partition}]@{offset}", _bytes(message.value()) or b""
        self._add(KafkaMessage(source, value, arrived, original=message, offset=offset, progress=progress))

    def _accepted(self, message: KafkaMessage) -> None:
        message.progress.begin(message.offset)

    def _pause_if_full(self) -> None:
        """Pause reading while there is no room. Polling goes on, so the group keeps this member."""
        if (full := self._full()) != self._paused:
            (self._consumer.pause if full else self._consumer.resume)(self._consumer.assignment())
            self._paused = full

    # Results and dead letters.

    def _process_results(self, wait: float = 0.0) -> None:
        self._settle(wait)
        for message in self._due_letters():
            if message.progress.ours:
                self._write_letter(message)
            else:
                # The partition was reassigned. Its new owner reads the same bad message and sends the dead letter.
                self._acknowledge(message)
        self._producer.poll(0)

    def _acknowledge(self, message: KafkaMessage) -> None:
        self._remove(message)
        message.progress.end(message.offset)

    def _write_letter(self, message: KafkaMessage) -> None:
        key, value = _bytes(message.original.key()), None if message.without_value else message.value
        headers = letter_headers(message)

        def delivered(error: KafkaError | None, _: Message) -> None:
            self._letter_delivered(message, error)

        try:
            self._producer.produce(self._dead_letters, value, key, headers=headers, on_delivery=delivered)
        except BufferError:
            self._letter_failed(message, "too many wait to be sent")
        except KafkaException as error:
            self._letter_delivered(message, error.args[0])

    def _letter_delivered(self, message: KafkaMessage, error: KafkaError | None) -> None:
        if error is None:
            self._letter_written(message)
        elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE and not message.without_value:
            message.without_value = True
            self._letters.append(message)
        else:
            self._letter_failed(message, reason_of(error))

    # Offsets.

    def _commit(self) -> None:
        """Commit the offsets of finished messages twice a second, without waiting for the answer."""
        if time.monotonic() < self._next_commit:
            return
        self._next_commit = time.monotonic() + _COMMIT
        if offsets := _offsets(self._assignment):
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def _committed(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        """Receive the result of a commit."""
        failed = [item for item in partitions if error is not None or item.error is not None]
        for item in failed:
            if (progress := self._assignment.get((item.topic, item.partition))) is not None:
                progress.commit_failed()
        if failed:
            reason = reason_of(error or failed[0].error)
            self._problems.report("commit", f"offsets cannot be committed: {reason}; trying again")
        else:
            self._problems.solved("down")
            self._problems.solved("commit")

    # The group.

    def _assigned(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:  # noqa: ARG002
        for item in partitions:
            self._assignment[item.topic, item.partition] = PartitionProgress()
        # New partitions are not paused.
        self._paused = self._paused and not partitions

    def _revoked(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Give partitions away, after their messages in the intake are finished and committed."""
        revoked = self._drop_backlog(partitions)
        until = time.monotonic() + _HAND_OVER
        while any(progress.waits for progress in revoked.values()) and not self._intake.closed:
            if time.monotonic() > until:
                break
            self._process_results(ROOM_CHECK)
        for progress in revoked.values():
            # Asynchronous commits may have failed since the group began to change: commit again.
            progress.commit_failed()
        if offsets := _offsets(revoked):
            try:
                consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                reason = reason_of(error.args[0])
                consequence = "their next owners decide the same events again"
                self._problems.report("hand over", f"partitions were given away uncommitted: {reason}; {consequence}")
        self._unassign(revoked)

    def _lost(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:  # noqa: ARG002
        """Drop partitions that the group has given to other members already."""
        message = "the group gave partitions to other members, which decide uncommitted events again"
        self._problems.report("lost", message)
        self._unassign(self._drop_backlog(partitions))

    def _drop_backlog(self, partitions: Sequence[TopicPartition]) -> dict[tuple[str, int], PartitionProgress]:
        """Drop the messages of partitions that are not in the intake; return the progress of those assigned to us."""
        keys = {(item.topic, item.partition) for item in partitions}
        dropped = {key: progress for key, progress in self._assignment.items() if key in keys}
        for message in [each for each in self._backlog if each.progress in dropped.values()]:
            self._backlog.remove(message)
            self._remove(message)
        return dropped

    def _unassign(self, partitions: Mapping[tuple[str, int], PartitionProgress]) -> None:
        for key, progress in partitions.items():
            progress.ours = False
            del self._assignment[key]

    def _finish(self) -> None:
        """Finish the messages in the intake before leaving the group."""
        self._drop_backlog([TopicPartition(*key) for key in self._assignment])
        self._consumer.pause(self._consumer.assignment())
        while self._draining():
            self._process_results(ROOM_CHECK)
            self._commit()
            # Discard messages polled during shutdown. They were not put into the intake and not committed, so Kafka
            # redelivers them.
            self._consumer.poll(0)

    def _error(self, error: KafkaError) -> None:
        """Report an error. The client recovers from all but fatal errors.

        Raises:
            KafkaException: the error is fatal.
        """
        if error.fatal():
            raise KafkaException(error)
        code = error.code()
        if code in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE):
            self._problems.report("down", f"cannot be reached: {reason_of(error)}; trying again")
        else:
            self._problems.report(str(code), f"{reason_of(error)}; trying again", "error")


def librdkafka(source: KafkaSource) -> dict[str, Any]:
    """Return librdkafka's settings of a connection.

    Raises:
        SecretError: the password cannot be read.
    """
    tls = source.tls
    options: dict[str, Any] = {
        "bootstrap.servers": ",".join(source.servers),
        "security.protocol": f"{'SASL_' if source.logs_in else ''}{'SSL' if tls else 'PLAINTEXT'}",
    }
    if source.logs_in:
        options["sasl.mechanism"] = source.mechanism
        options["sasl.username"] = source.user
        options["sasl.password"] = secret_text(source.password)
    if tls is not None:
        options["ssl.ca.location"] = tls.authorities
        options["ssl.certificate.location"] = tls.certificate
        options["ssl.key.location"] = tls.key
    return {key: value for key, value in options.items() if value is not None}


def letter_headers(message: KafkaMessage) -> list[tuple[str, bytes]]:
    """Return the headers of a dead letter: those of its message, and why and where from."""
    topic, partition, offset = message.original.topic(), message.original.partition(), message.offset
    added = {
        "reason": message.fault,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "id": letter_id("kafka", topic, partition, offset, message.original.timestamp()[1]),
    }
    if message.without_value:
        added["left-out"] = f"{len(message.value)} bytes are more than the topic takes"
    headers = cast("list[tuple[str, Any]]", message.original.headers() or [])
    headers += [(f"spyderresp-{name}", value) for name, value in added.items()]
    return [(name, _bytes(value) or b"") for name, value in headers]


def reason_of(error: Any) -> str:
    """Return the text of an error of the client, in lower case."""
    text = error.str() if isinstance(error, KafkaError) else str(error)
    return text[:1].lower() + text[1:]


def _offsets(partitions: Mapping[tuple[str, int], PartitionProgress]) -> list[TopicPartition]:
    """Return the offsets of partitions that are not committed yet."""
    offsets = ((key, progress.next_commit()) for key, progress in partitions.items())
    return [TopicPartition(*key, offset) for key, offset in offsets if offset is not None]


def _bytes(value: Any) -> bytes | None:
    return value if isinstance(value, bytes) else None if value is None else str(value).encode()
