"""The brokers of the rig, and what acts in it: processes that are files."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import nats
from confluent_kafka import Producer
from kafka_cluster import QUIET, Cluster
from nats_server import Server, unheard

# A process is a file: a killed one is moved away. An act is noted after it: what is noted twice was killed twice.
EXECUTOR = """\
import os
from spyderresp.execution.report import Result

class Noted:
    name = "noted"
    actions = frozenset({"agentKillProcess"})
    def __init__(self, place: str, blind: bool = False) -> None:
        self.place, self.blind = place, blind
    def resolve(self, step, protection):
        pid = step.value("process.pid")
        if not self.blind and not os.path.exists(f"{self.place}/alive/{pid}"):
            return Result("already", "no such process")
        return Held(self, pid)
    def close(self):
        pass

class Held:
    namespace = None
    facts = {}
    def __init__(self, owner, pid):
        self.owner, self.pid = owner, pid
        self.identity = f"process:{pid}"
    def act(self):
        place = self.owner.place
        try:
            os.rename(f"{place}/alive/{self.pid}", f"{place}/dead/{self.pid}")
        except FileNotFoundError:
            pass
        file = os.open(f"{place}/acts", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(file, f"{self.pid}\\n".encode())
        os.close(file)
        return Result("done", "noted")
    def release(self):
        pass
"""


class Broker(Protocol):
    """What events come out of."""

    #: As a configuration says it.
    source: dict[str, Any]

    def send(self, messages: list[tuple[str, bytes]], draw: random.Random) -> None:
        """Send messages, each by its id, until each is taken, whatever happens meanwhile."""

    def disturb(self, draw: random.Random) -> None:
        """End the broker where it stands, and let it come back."""

    def left(self) -> int:
        """Return how many messages are not acknowledged."""

    def letters(self) -> set[bytes]:
        """Return the dead letters."""

    def purge(self) -> None:
        """Lose what it holds."""

    def close(self) -> None:
        """End it."""


class Nats:
    """A real nats-server, killed with SIGKILL."""

    def __init__(self, place: Path) -> None:
        (place / "store").mkdir()
        self._server = Server(place / "store", "--auth", "a-token-of-the-rig")
        self._server.login = {"token": "a-token-of-the-rig"}
        self._server.start()
        self._server.stream("events", "events")
        self._server.stream("dead", "dead")
        self._lock = threading.Lock()
        self.source = {
            "nats": self._server.address,
            "stream": "events",
            "dead_letters": "dead",
            "ack_wait": 2,
            "token": {"env": "RIG_TOKEN"},
        }

    def send(self, messages: list[tuple[str, bytes]], draw: random.Random) -> None:
        asyncio.run(self._send(messages, draw))

    async def _send(self, messages: list[tuple[str, bytes]], draw: random.Random) -> None:
        left = list(messages)
        while left:
            with contextlib.suppress(nats.errors.Error, OSError, asyncio.TimeoutError, asyncio.CancelledError):
                client = await nats.connect(
                    f"nats://{self._server.address}",
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=1,
                    error_cb=unheard,
                    **self._server.login,
                )
                try:
                    jetstream = client.jetstream(timeout=1)
                    while left:
                        number, data = left[0]
                        await jetstream.publish("events", data, headers={"Nats-Msg-Id": number})
                        left.pop(0)
                        if draw.random() < 0.2:
                            await asyncio.sleep(draw.random() * 0.05)
                finally:
                    await client.close()
            await asyncio.sleep(0.05)

    def disturb(self, draw: random.Random) -> None:
        self._server.kill()
        time.sleep(draw.choice([0.0, draw.random() * 1.5]))
        self._server.start()

    def left(self) -> int:
        left = self._server.left("events")
        return 1 if left is None else left

    def letters(self) -> set[bytes]:
        return {message.data or b"" for message in self._server.read("dead")}

    def purge(self) -> None:
        self._server.ask(lambda jetstream: jetstream.purge_stream("events"))

    def close(self) -> None:
        self._server.kill()


class Kafka:
    """librdkafka's mock cluster in the rig's own process: it answers nobody for a while, and keeps what it has."""

    def __init__(self, place: Path) -> None:
        self._cluster = Cluster()
        self._topic = self._cluster.topic()
        self._sent = 0
        self.source = {
            "kafka": self._cluster.server,
            "topics": self._topic,
            "session": 2,
            "plain": "yes",
        }

    def send(self, messages: list[tuple[str, bytes]], draw: random.Random) -> None:
        producer = Producer(
            {"bootstrap.servers": self._cluster.server, "enable.idempotence": True, "linger.ms": 0, **QUIET}
        )
        for number, data in messages:
            producer.produce(self._topic, data, key=number)
            producer.poll(draw.random() * 0.05 if draw.random() < 0.2 else 0)
        if producer.flush(360):
            raise RuntimeError("the mock takes nothing")
        self._sent += len(messages)

    def disturb(self, draw: random.Random) -> None:
        self._cluster.down()
        time.sleep(draw.random() * 1.5)
        self._cluster.up()

    def left(self) -> int:
        return self._sent - sum(self._cluster.committed(self._topic).values()) if self._sent else 1

    def letters(self) -> set[bytes]:
        found = self._cluster.read(f"{self._topic}.dead-letters")
        return {message.value() or b"" for message in found}

    def purge(self) -> None:
        """A mock cannot."""
        raise NotImplementedError

    def close(self) -> None:
        self._cluster.close()


BROKERS: dict[str, type[Nats | Kafka]] = {"nats": Nats, "kafka": Kafka}
