"""Kafka for tests: librdkafka's own mock cluster, or a real broker at ``SPYDERRESP_TEST_KAFKA``."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

REAL = os.environ.get("SPYDERRESP_TEST_KAFKA", "")
QUIET = {"log_level": 2}
# In confluent_kafka's objects, after Python's own head.
_HANDLE = object.__basicsize__


class Cluster:
    """A broker, and what a test does to it.

    Args:
        server: its address; empty: a mock of our own.
    """

    def __init__(self, server: str = "") -> None:
        self._mock = None if server else Producer({"test.mock.num.brokers": 1, **QUIET})
        held = self._mock or Producer({"bootstrap.servers": server, **QUIET})
        self.server = server or str(next(iter(held.list_topics(timeout=120).brokers.values()))).partition("/")[0]
        if self._mock is not None:
            # Three seconds, for members that may be on their way: here they come when a test lets them.
            self._call("rd_kafka_mock_group_initial_rebalance_delay_ms", ctypes.c_int32(100))
        self._producer = Producer({"bootstrap.servers": self.server, **QUIET})

    def topic(self) -> str:
        """Make a topic of a new name."""
        name = f"events-{secrets.token_hex(6)}"
        if self._mock is not None:
            # It makes what it is asked for, always with 4 partitions.
            for made in (name, f"{name}.dead-letters"):
                self._producer.list_topics(made, timeout=120)
            return name
        admin = AdminClient({"bootstrap.servers": self.server, **QUIET})
        futures = admin.create_topics([NewTopic(name, 4, 1), NewTopic(f"{name}.dead-letters", 1, 1)])
        for future in futures.values():
            future.result(120)
        return name

    def send(self, topic: str, *values: bytes | None, **more: Any) -> None:
        """Write messages, and wait until they are taken."""
        failed: list[Any] = []
        for value in values:
            self._producer.produce(
                topic, value, on_delivery=lambda error, _: failed.append(error) if error else None, **more
            )
            self._producer.poll(0)
        assert self._producer.flush(120) == 0
        assert not failed, failed

    def read(self, topic: str) -> list[Message]:
        """Return the messages that a topic holds now."""
        consumer = Consumer(
            {"bootstrap.servers": self.server, "group.id": secrets.token_hex(6), "enable.auto.commit": False, **QUIET}
        )
        with contextlib.closing(consumer):
            partitions = consumer.list_topics(topic, timeout=120).topics[topic].partitions
            places = [TopicPartition(topic, number, 0) for number in partitions]
            left = sum(consumer.get_watermark_offsets(place, timeout=120)[1] for place in places)
            consumer.assign(places)
            found: list[Message] = []
            until = time.monotonic() + 120
            while len(found) < left:
                assert time.monotonic() < until, f"{len(found)} of {left} messages came"
                message = consumer.poll(0.1)
                if message is not None and message.error() is None:
                    found.append(message)
            return found

    def committed(self, topic: str, group: str = "spyderresp") -> dict[int, int]:
        """Return by partition the offset that a group goes on at, where it has one."""
        consumer = Consumer({"bootstrap.servers": self.server, "group.id": group, **QUIET})
        with contextlib.closing(consumer):
            partitions = consumer.list_topics(topic, timeout=120).topics[topic].partitions
            found = consumer.committed([TopicPartition(topic, number) for number in partitions], timeout=120)
        return {item.partition: item.offset for item in found if item.offset >= 0}

    def down(self) -> None:
        """Let the mock answer nobody; it keeps what it has."""
        self._call("rd_kafka_mock_broker_set_down", ctypes.c_int32(1))

    def up(self) -> None:
        """Let it answer again."""
        self._call("rd_kafka_mock_broker_set_up", ctypes.c_int32(1))

    def fail(self, request: int, *errors: int) -> None:
        """Let the mock answer the next requests of a kind, by Kafka's own number, with these errors."""
        codes = (ctypes.c_int * len(errors))(*errors)
        self._call(
            "rd_kafka_mock_push_request_errors_array", ctypes.c_int16(request), ctypes.c_size_t(len(errors)), codes
        )

    def fail_no_more(self, request: int) -> None:
        """Forget the errors that are left for requests of a kind."""
        self._call("rd_kafka_mock_clear_request_errors", ctypes.c_int16(request))

    def _call(self, name: str, *arguments: Any) -> None:
        """Call what confluent_kafka does not show, in the library that it brings along."""
        with open("/proc/self/maps", encoding="utf-8") as maps:
            (path, *_) = {line.split()[-1] for line in maps if "librdkafka" in line}
        library = ctypes.CDLL(path)
        library.rd_kafka_handle_mock_cluster.restype = ctypes.c_void_p
        handle = ctypes.c_void_p.from_address(id(self._mock) + _HANDLE)
        mock = ctypes.c_void_p(library.rd_kafka_handle_mock_cluster(handle))
        library[name].restype = None
        library[name](mock, *arguments)

    def close(self) -> None:
        self._producer.flush(5)
        if self._mock is not None:
            self._mock.flush(1)


@contextlib.contextmanager
def cluster(server: str = "") -> Iterator[Cluster]:
    held = Cluster(server)
    try:
        yield held
    finally:
        held.close()
