"""What all sources that are listened on share: their sockets, their connections, and how they come to an end."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import socket
import ssl
import stat
import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from spyderresp.events.records import LineChunk, LineSplitter
from spyderresp.service.config.settings import Tls
from spyderresp.service.intake import BadRecord, ClosedError, Delivery, DeliveryResult, Intake
from spyderresp.service.metrics import Counts
from spyderresp.service.sources.base import SourceError, Stop
from spyderresp.service.sources.file import reason_of

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


class ListenAddress(Protocol):
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
        place: ListenAddress,
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
                self._context = server_tls_context(self._tls)
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


def server_tls_context(tls: Tls) -> ssl.SSLContext:
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


# Events as JSON lines over a Unix or TCP socket: pushed back by not reading on, and summed up at the end.

# How long to wait before asking again whether there is room.
_AGAIN: Final = 0.02
_LINGER: Final = 2.0
_LISTED: Final = 100
_MOST_GREETING: Final = 4096
_PEER: Final = struct.Struct("3i")
_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class LinesConnection(asyncio.Protocol):
    """One connection.

    Args:
        listener: whose it is.
        intake: where its lines go.
        counts: counts strangers.
        kind: ``unix`` or ``tcp``.
        token: the first line must be ``Bearer TOKEN``; None: it is an event already.
        uids: who may send over a Unix socket; None: this service's user, and root.
        max_line: the most bytes of a line.
        patience: for how many seconds a token may take to come.
    """

    def __init__(
        self,
        listener: Listener,
        intake: Intake,
        counts: Counts,
        kind: str,
        *,
        token: bytes | None = None,
        uids: frozenset[int] | None = None,
        max_line: int = 1024 * 1024,
        patience: float = 30.0,
    ) -> None:
        self._listener = listener
        self._intake = intake
        self._counts = counts
        self._kind = kind
        self._token = token
        self._uids = frozenset({0, os.geteuid()}) if uids is None else uids
        self._max_line = max_line
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._source = kind
        # Until the token has come: what has come of it.
        self._greeting: bytes | None = b"" if token is not None else None
        self._timer: asyncio.TimerHandle | None = None
        self._cutter = LineSplitter(max_line)
        self._held: list[Delivery] = []
        self._open = 0
        self._ended = False
        self._events = 0
        self._bad: list[BadRecord] = []
        self._bad_count = 0
        self._outcomes: Counter[str] = Counter()
        self._policy_set = ""

    @property
    def waits(self) -> bool:
        return self._open > 0 or bool(self._held)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._listener.admit(self):
            self._transport.abort()
            self._transport = None
            return
        if self._kind == "unix":
            self._look_at_peer()
        else:
            peer = transport.get_extra_info("peername")
            self._source = f"tcp {peer[0]}:{peer[1]}"
            bound = transport.get_extra_info("socket")
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._greeting is not None:
            self._timer = self._loop.call_later(self._patience, self._refuse, "no token came")

    def _look_at_peer(self) -> None:
        """Ask the kernel who connected: nobody can say otherwise."""
        if self._transport is None:
            return
        bound = self._transport.get_extra_info("socket")
        _, uid, _ = _PEER.unpack(bound.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        self._source = f"unix uid {uid}"
        if uid not in self._uids:
            self._refuse(f"user {uid} may not send events here")

    def _refuse(self, reason: str) -> None:
        self._counts.turn_away("unauthorized")
        transport, self._transport = self._transport, None
        self._ended = True
        if transport is not None:
            transport.write(_encode({"error": reason}).encode() + b"\n")
            if transport.can_write_eof():
                # Closed at once, with bytes unread, the kernel would take back what was just said.
                transport.write_eof()
                self._loop.call_later(_LINGER, transport.abort)
            else:
                transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        if not self._ended:
            # Cut off: what came whole was taken, and half a line is none.
            self._ended = True
        if not self._held:
            self._listener.leave(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._ended:
            return
        if self._greeting is not None:
            data = self._greet(data)
            if not data:
                return
        self._take(self._cutter.feed(data))

    def _greet(self, data: bytes) -> bytes:
        """Take the first line; return what came after it, once it is the token."""
        self._greeting = (self._greeting or b"") + data
        line, found, rest = self._greeting.partition(b"\n")
        if not found and len(line) <= _MOST_GREETING:
            return b""
        scheme, _, shown = line.strip().partition(b" ")
        same = hmac.compare_digest(shown.strip(), self._token or b"")
        if scheme.lower() != b"bearer" or not same or not found:
            self._refuse("the first line must be `Bearer TOKEN`")
            return b""
        self._greeting = None
        if self._timer is not None:
            self._timer.cancel()
        return rest

    def eof_received(self) -> bool:
        if not self._ended:
            self._take(self._cutter.end())
            self._ended = True
            self._finish()
        # Stays open for the summary; under TLS asyncio cannot.
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is None

    def wind_up(self) -> None:
        """Take nothing more; what came of a line that has no end is nobody's."""
        if self._transport is None and not self.waits:
            # Refused, or gone.
            self._listener.leave(self)
            return
        if not self._ended:
            self._ended = True
            if self._transport is not None:
                self._transport.pause_reading()
        self._finish()

    def abandon(self) -> None:
        """Close at once: nothing will be answered."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, piece: LineChunk | None) -> None:
        if piece is None:
            return
        self._held.append(
            Delivery(
                self._source,
                piece.data,
                time.time(),
                self._done,
                piece.first,
                piece.long,
                self._max_line,
                kind=self._kind,
            )
        )
        self._hand_in()

    def _hand_in(self) -> None:
        """Hand in what is held; where there is no room, read no more until there is."""
        try:
            while self._held and self._intake.offer(self._held[0]):
                self._held.pop(0)
                self._open += 1
        except ClosedError:
            self._held = []
            self._ended = True
        if self._held:
            if self._transport is not None:
                self._transport.pause_reading()
            self._loop.call_later(_AGAIN, self._hand_in)
            return
        if self._transport is not None and not self._ended:
            self._transport.resume_reading()
        self._finish()
        if self._transport is None:
            self._listener.leave(self)

    def _done(self, answer: DeliveryResult) -> None:
        """Hear, in the thread that decides, what became of a piece."""
        # The loop may have ended, where draining took too long.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._add, answer)

    def _add(self, answer: DeliveryResult) -> None:
        self._open -= 1
        self._events += answer.events
        self._bad_count += len(answer.bad)
        self._bad += answer.bad[: max(0, _LISTED - len(self._bad))]
        self._outcomes.update(answer.outcomes)
        self._policy_set = answer.policy_set
        self._finish()

    def _finish(self) -> None:
        """At the end, when all is answered: sum up, and close."""
        if not self._ended or self.waits or self._transport is None:
            return
        said = {
            "accepted": self._events,
            "bad": self._bad_count,
            "outcomes": dict(self._outcomes),
            "policy_set": self._policy_set,
            "errors": [{"line": bad.line, "path": bad.error.path, "reason": bad.error.reason} for bad in self._bad],
        }
        if not self._bad:
            del said["errors"]
        self._transport.write(_encode(said).encode() + b"\n")
        self._transport.close()
        self._transport = None
