"""A real nats-server with JetStream, for tests: killed, hung and started again where it was."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import nats
from nats.js.api import StreamConfig

T = TypeVar("T")
# Debian puts it where only root looks.
PROGRAM = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")


# For how many seconds anything is waited for: far longer than a slow machine takes.
PATIENCE = 120
_NOT_YET = (
    nats.js.errors.ServiceUnavailableError, nats.js.errors.NoStreamResponseError, nats.errors.NoRespondersError
)  # fmt: skip


async def there(work: Callable[..., Awaitable[T]], *about: Any, **more: Any) -> T:
    """Do something that nobody may be there for yet; where nobody was, nothing was done."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return await work(*about, **more)
        except _NOT_YET:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.05)


async def unheard(error: Exception) -> None:
    """Say nothing of it: the call that it ends says so."""


def free_port() -> int:
    """Return a port that no connection of anybody is given while nobody listens on it.

    Those of the kernel's own range are: even to one who asks for that very port, who then talks to itself.
    """
    for _ in range(1000):
        port = random.randrange(10_000, 30_000)
        with socket.socket() as bound, contextlib.suppress(OSError):
            bound.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Server:
    """One server.

    Args:
        folder: where it keeps everything.
        options: for its command line.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.login: dict[str, Any] = {}

    def start(self) -> None:
        """Start it, with what it kept, and wait until it answers."""
        assert PROGRAM is not None
        command = [PROGRAM, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder), *self._options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE):
                return
            assert self._process.poll() is None, (self._folder / "log").read_text()
            time.sleep(0.02)
        raise AssertionError("it does not answer")

    def kill(self) -> None:
        """End it where it stands."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Do something over a connection of its own; it is given the JetStream.

        A server that has just begun takes connections before its JetStream is there: that is waited for.
        """

        async def asked() -> T:
            scheme = "tls" if "tls" in self.login else "nats"
            client = await nats.connect(
                f"{scheme}://{self.address}", error_cb=unheard, connect_timeout=PATIENCE, **self.login
            )
            try:
                jetstream = client.jetstream(timeout=PATIENCE)
                await there(jetstream.account_info)
                return await work(jetstream)
            finally:
                await client.close()

        return asyncio.run(asked())

    def stream(self, name: str, *subjects: str) -> None:
        self.ask(lambda jetstream: there(jetstream.add_stream, StreamConfig(name=name, subjects=list(subjects))))

    def send(self, subject: str, *values: bytes, headers: dict[str, str] | None = None) -> None:
        async def sent(jetstream: Any) -> None:
            for value in values:
                await there(jetstream.publish, subject, value, headers=headers)

        self.ask(sent)

    def read(self, stream: str) -> Sequence[Any]:
        """Return all messages of a stream."""

        async def held(jetstream: Any) -> list[Any]:
            last = (await jetstream.stream_info(stream)).state.last_seq
            found = []
            for sequence in range(1, last + 1):
                with contextlib.suppress(nats.js.errors.NotFoundError):
                    found.append(await jetstream.get_msg(stream, sequence))
            return found

        return self.ask(held)

    def left(self, stream: str, consumer: str = "spyderresp") -> int | None:
        """Return how many messages a consumer has not acknowledged, delivered or not; None: there is none."""

        async def counted(jetstream: Any) -> int | None:
            try:
                info = await jetstream.consumer_info(stream, consumer)
            except nats.js.errors.NotFoundError:
                return None
            return int(info.num_pending) + int(info.num_ack_pending)

        return self.ask(counted)


@contextlib.contextmanager
def server(folder: Path, *options: str) -> Iterator[Server]:
    held = Server(folder, *options)
    held.start()
    try:
        yield held
    finally:
        held.kill()
