"""What cannot be decided of Kafka's messages, on its way to a topic of dead letters. Extra ``kafka``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from spyderresp.executors.backoff import Backoff
from spyderresp.service.counts import Counts
from spyderresp.service.sources.broker import Trouble, letter_id
from spyderresp.service.sources.offsets import Progress

_BACKOFF: Final = Backoff(first=0.5, longest=30.0, attempts=None)
# What a dead letter adds to its message: headers, at most.
_ROOM: Final = 65_536


@dataclass(slots=True)
class Held:
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
    progress: Progress
    fault: str = ""
    failures: int = 0
    bare: bool = False


class Letters:
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
        end: Callable[[Held], None],
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
        self._waiting: deque[tuple[float, Held]] = deque()

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

    def bury(self, held: Held, fault: str) -> None:
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

    def _send(self, held: Held) -> None:
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

    def _sent(self, held: Held, error: KafkaError | None) -> None:
        """Hear what came of a letter."""
        if error is None:
            self._trouble.over("dead letters")
            self._counts.bury("kafka")
            self._end(held)
        elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE and not held.bare:
            # The topic takes less: where the message stands is told at least.
            held.bare = True
            self._waiting.append((0.0, held))
        else:
            self._put_off(held, reason_of(error))

    def _put_off(self, held: Held, reason: str) -> None:
        held.failures += 1
        self._waiting.append((time.monotonic() + _BACKOFF.wait(held.failures), held))
        said = f"dead letters cannot be written to `{self._topic}`: {reason}; what they hold is not acknowledged"
        self._trouble.say("dead letters", said, "error")


def reason_of(error: Any) -> str:
    """Return what an error of the client says, in lower case."""
    text = error.str() if isinstance(error, KafkaError) else str(error)
    return text[:1].lower() + text[1:]


def _told_of(held: Held) -> list[tuple[str, bytes]]:
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
