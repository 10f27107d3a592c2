"""What all sources that are listened on share: their sockets, their connections, and how they come to an end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import stat
from collections.abc import Callable
from typing import Any, Protocol

from spyderresp.service.counts import Counts
from spyderresp.service.intake import Intake
from spyderresp.service.settings import Tls
from spyderresp.service.sources.base import SourceError, Stop
from spyderresp.service.sources.stream import reason_of

_BACKLOG = 1024
_WAIT = 0.02


class Connection(Protocol):
    """A connection, as its listener sees it."""

    @property
    def waits(self) -> bool:
        """Whether something that it handed in is not answered yet."""

    def wind_up(self) -> None:
        """Take nothing more; close as soon as everything is answered."""

    def abandon(self) -> None:
        """Close at once: nothing will be answered."""


class Place(Protocol):
    """Where a listener listens."""

    def bind(self) -> socket.socket:
        """Return a socket that listens.

        Raises:
            OSError: it cannot.
        """

    def leave(self) -> None:
        """Take away what binding left."""


class Listener:
    """A source that is listened on: an event loop in the thread of the source.

    Args:
        name: what messages call it; ``{}`` in it is the address that was bound.
        place: where to listen.
        connect: makes the protocol of a new connection.
        counts: counts connections that are turned away.
        tls: certificates; None: in the clear.
        most: how many connections there may be at once.
        patience: for how many seconds a handshake may last.
    """

    def __init__(
        self,
        name: str,
        place: Place,
        connect: Callable[[Listener, Intake], asyncio.Protocol],
        counts: Counts,
        *,
        tls: Tls | None = None,
        most: int = 256,
        patience: float = 30.0,
    ) -> None:
        self._name = name
        self._place = place
        self._connect = connect
        self._counts = counts
        self._tls = tls
        self._most = most
        self._patience = patience
        self._socket: socket.socket | None = None
        self._where: Any = ""
        self._context: ssl.SSLContext | None = None
        self._connections: set[Connection] = set()
        self.ending = False

    @property
    def name(self) -> str:
        return self._name.format(self.address)

    @property
    def address(self) -> str:
        """Where it listens; empty before it does."""
        where = self._where
        if isinstance(where, tuple):
            return f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"
        return os.fsdecode(where)

    @property
    def port(self) -> int:
        """The port that was bound, or 0."""
        return int(self._where[1]) if isinstance(self._where, tuple) else 0

    def open(self) -> None:
        try:
            if self._tls is not None:
                self._context = context_of(self._tls)
            self._socket = self._place.bind()
            # Asked for later, when it may be closed.
            self._where = self._socket.getsockname()
        except (OSError, ssl.SSLError) as error:
            raise SourceError(f"{self._name.format('')}: {reason_of(error)}") from None

    def run(self, intake: Intake, stop: Stop) -> None:
        asyncio.run(self._serve(intake, stop))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._place.leave()

    async def _serve(self, intake: Intake, stop: Stop) -> None:
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        loop.add_reader(stop.descriptor, stopped.set)
        server = await self._server(loop, intake)
        await stopped.wait()
        loop.remove_reader(stop.descriptor)
        self.ending = True
        server.close()
        # Where rounds broke off nothing is answered any more: whoever waits for it would wait for ever.
        while self._connections and not intake.closed:
            for connection in list(self._connections):
                connection.wind_up()
            await asyncio.sleep(_WAIT)
        for connection in list(self._connections):
            connection.abandon()
        await asyncio.sleep(0)

    async def _server(self, loop: asyncio.AbstractEventLoop, intake: Intake) -> asyncio.AbstractServer:
        def factory() -> asyncio.Protocol:
            return self._connect(self, intake)

        given = self._socket
        if given is None:
            raise SourceError(f"{self.name}: not open")
        if given.family == socket.AF_UNIX:
            return await loop.create_unix_server(factory, sock=given, backlog=_BACKLOG)
        patience = self._patience if self._context is not None else None
        return await loop.create_server(
            factory, sock=given, ssl=self._context, ssl_handshake_timeout=patience, backlog=_BACKLOG
        )

    def admit(self, connection: Connection) -> bool:
        """Take a connection, or return False where there are too many."""
        if self.ending or len(self._connections) >= self._most:
            self._counts.turn_away("connections")
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """Let go of a connection that is closed."""
        self._connections.discard(connection)


class NetworkPlace:
    """An address of this machine."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def bind(self) -> socket.socket:
        """Listen on the first address that the host has."""
        family, kind, protocol, _, where = socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(where)
            bound.listen(_BACKLOG)
            bound.setblocking(False)
        except OSError:
            bound.close()
            raise
        return bound

    def leave(self) -> None:
        """Nothing is left."""


class UnixPlace:
    """A path. What a service that ended left there is replaced; what another one listens on is not."""

    def __init__(self, path: str, mode: int) -> None:
        self._path = path
        self._mode = mode
        self._made: tuple[int, int, int] | None = None

    def bind(self) -> socket.socket:
        """Listen on the path."""
        self._clear()
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The permissions at once, not a moment later: umask is the process's, and other threads make files.
            os.fchmod(bound.fileno(), self._mode)
            bound.bind(self._path)
            os.chmod(self._path, self._mode)
            status = os.stat(self._path, follow_symlinks=False)
            # The time too: an inode is soon given to another file.
            self._made = (status.st_dev, status.st_ino, status.st_ctime_ns)
            bound.listen(_BACKLOG)
            bound.setblocking(False)
        except OSError:
            bound.close()
            raise
        return bound

    def _clear(self) -> None:
        try:
            status = os.lstat(self._path)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(status.st_mode):
            raise OSError(0, "something else than a socket is there")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            try:
                asked.connect(self._path)
            except ConnectionRefusedError:
                os.unlink(self._path)
                return
        raise OSError(0, "another process listens there")

    def leave(self) -> None:
        """Take the socket away, if it is still ours."""
        with contextlib.suppress(OSError):
            status = os.lstat(self._path)
            if (status.st_dev, status.st_ino, status.st_ctime_ns) == self._made:
                os.unlink(self._path)


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return the TLS settings of a listener.

    Raises:
        OSError: a certificate or key cannot be read, or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.clients is not None:
        context.load_verify_locations(tls.clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
