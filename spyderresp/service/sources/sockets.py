"""Listening sockets for HTTP and JSON lines, and connections that send JSON lines over TCP or a Unix socket."""

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
from spyderresp.service.config.settings import SenderLimits
from spyderresp.service.config.source_settings import Address, Tls
from spyderresp.service.intake import BadRecord, ClosedError, Delivery, DeliveryResult, Intake
from spyderresp.service.metrics import Counts
from spyderresp.service.sources.base import SourceError, Stop
from spyderresp.service.sources.file import reason_of

_BACKLOG: Final = 1024
# Seconds between two checks: for room in the intake, and for open connections at the end.
_CHECK: Final = 0.02


class Connection(Protocol):
    """The part of a connection that its listener uses."""

    @property
    def waits(self) -> bool:
        """Whether a delivery of it has no result yet."""

    def wind_up(self) -> None:
        """Read nothing more; close when all deliveries have their results."""

    def abandon(self) -> None:
        """Close now, without an answer."""


class ListenAddress(Protocol):
    """An address that a listener can listen on."""

    def bind(self) -> socket.socket:
        """Return a listening socket.

        Raises:
            OSError: the address cannot be used.
        """

    def remove(self) -> None:
        """Remove what ``bind`` created."""


class Listener:
    """A source that accepts connections, with an event loop in the thread of the source.

    Args:
        name: its name in log lines; ``{}`` stands for the bound address.
        address: the address to listen on.
        connect: creates the protocol of a new connection.
        counts: counts refused connections.
        limits: the most connections at the same time, and the time that a TLS handshake may take.
        tls: certificate and key; None: no TLS.
    """

    def __init__(
        self,
        name: str,
        address: ListenAddress,
        connect: Callable[[Listener, Intake], asyncio.Protocol],
        counts: Counts,
        limits: SenderLimits,
        tls: Tls | None = None,
    ) -> None:
        self._name = name
        self._listen_address = address
        self._connect = connect
        self._counts = counts
        self._limits = limits
        self._tls = tls
        self._socket: socket.socket | None = None
        self._bound: Any = ""
        self._context: ssl.SSLContext | None = None
        self._connections: set[Connection] = set()
        self.ending = False

    @property
    def name(self) -> str:
        return self._name.format(self.address)

    @property
    def address(self) -> str:
        """The bound address; empty before ``open``."""
        bound = self._bound
        if isinstance(bound, tuple):
            return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
        return os.fsdecode(bound)

    @property
    def port(self) -> int:
        """The bound port; 0 before ``open``, and for a Unix socket."""
        return int(self._bound[1]) if isinstance(self._bound, tuple) else 0

    def open(self) -> None:
        try:
            if self._tls is not None:
                self._context = server_tls_context(self._tls)
            self._socket = self._listen_address.bind()
            # Kept, because it is needed after the socket is closed.
            self._bound = self._socket.getsockname()
        except (OSError, ssl.SSLError) as error:
            raise SourceError(f"{self._name.format('')}: {reason_of(error)}") from None

    def run(self, intake: Intake, stop: Stop) -> None:
        asyncio.run(self._serve(intake, stop))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._listen_address.remove()

    async def _serve(self, intake: Intake, stop: Stop) -> None:
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        loop.add_reader(stop.descriptor, stopped.set)
        server = await self._server(loop, intake)
        await stopped.wait()
        loop.remove_reader(stop.descriptor)
        self.ending = True
        server.close()
        # If the intake is closed, the loop has ended and no result will come.
        while self._connections and not intake.closed:
            for connection in list(self._connections):
                connection.wind_up()
            await asyncio.sleep(_CHECK)
        for connection in list(self._connections):
            connection.abandon()
        await asyncio.sleep(0)

    async def _server(self, loop: asyncio.AbstractEventLoop, intake: Intake) -> asyncio.AbstractServer:
        def factory() -> asyncio.Protocol:
            return self._connect(self, intake)

        listening = self._socket
        if listening is None:
            raise SourceError(f"{self.name}: not open")
        if listening.family == socket.AF_UNIX:
            return await loop.create_unix_server(factory, sock=listening, backlog=_BACKLOG)
        patience = self._limits.patience if self._context is not None else None
        return await loop.create_server(
            factory, sock=listening, ssl=self._context, ssl_handshake_timeout=patience, backlog=_BACKLOG
        )

    def admit(self, connection: Connection) -> bool:
        """Add a connection and return True; return False if there are too many."""
        if self.ending or len(self._connections) >= self._limits.connections:
            self._counts.count_refusal("connections")
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self._connections.discard(connection)


class NetworkAddress:
    """A host and a port to listen on."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def bind(self) -> socket.socket:
        """Listen on the first address of the host."""
        family, kind, protocol, _, address = socket.getaddrinfo(
            *self._address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(address)
            bound.listen(_BACKLOG)
            bound.setblocking(False)
        except OSError:
            bound.close()
            raise
        return bound

    def remove(self) -> None:
        """Do nothing."""


class UnixSocket:
    """The path of a Unix socket. ``bind`` replaces the socket of an ended process, but not one that is in use."""

    def __init__(self, path: str, mode: int) -> None:
        self._path = path
        self._mode = mode
        self._created: tuple[int, int, int] | None = None

    def bind(self) -> socket.socket:
        """Listen on the path."""
        self._clear()
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Set the mode before binding, so that the path never has wider permissions. umask would affect all threads.
            os.fchmod(bound.fileno(), self._mode)
            bound.bind(self._path)
            os.chmod(self._path, self._mode)
            status = os.stat(self._path, follow_symlinks=False)
            # With the time, because a new file can get the inode of a deleted one.
            self._created = (status.st_dev, status.st_ino, status.st_ctime_ns)
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
            raise OSError(0, "a file that is not a socket is there")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(self._path)
            except ConnectionRefusedError:
                os.unlink(self._path)
                return
        raise OSError(0, "another process listens there")

    def remove(self) -> None:
        """Delete the socket, if it is still the one that ``bind`` created."""
        with contextlib.suppress(OSError):
            status = os.lstat(self._path)
            if (status.st_dev, status.st_ino, status.st_ctime_ns) == self._created:
                os.unlink(self._path)


def server_tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the TLS settings of a listener.

    Raises:
        OSError: a certificate or key cannot be read, or they do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.clients is not None:
        context.load_verify_locations(tls.clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


# JSON lines over a TCP or Unix socket. A full intake pauses reading; the sender gets a summary at the end.

# Seconds until a refused connection is closed.
_LINGER: Final = 2.0
# The most errors in a summary.
_MAX_ERRORS: Final = 100
# The most bytes of the line with the token.
_MAX_TOKEN_LINE: Final = 4096
# struct ucred: pid, uid, gid.
_PEER: Final = struct.Struct("3i")
_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class LinesConnection(asyncio.Protocol):
    """One connection that sends JSON lines.

    Args:
        counts: counts refused connections.
        kind: ``unix`` or ``tcp``.
        listener: the listener that accepted it.
        intake: receives its lines.
        token: the first line must be ``Bearer TOKEN``; None: the first line is an event.
        uids: the users that may send over a Unix socket; None: root and the user of this service.
        limits: the most bytes of a line, and the time that the token may take to arrive.
    """

    def __init__(
        self,
        counts: Counts,
        kind: str,
        listener: Listener,
        intake: Intake,
        *,
        token: bytes | None = None,
        uids: frozenset[int] | None = None,
        limits: SenderLimits,
    ) -> None:
        self._listener = listener
        self._intake = intake
        self._counts = counts
        self._kind = kind
        self._token = token
        self._uids = frozenset({0, os.geteuid()}) if uids is None else uids
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._source = kind
        # The bytes of the line with the token, until it is complete.
        self._token_line: bytes | None = b"" if token is not None else None
        self._timer: asyncio.TimerHandle | None = None
        self._splitter = LineSplitter(limits.line)
        self._backlog: list[Delivery] = []
        self._open = 0
        self._ended = False
        self._events = 0
        self._bad: list[BadRecord] = []
        self._bad_count = 0
        self._outcomes: Counter[str] = Counter()
        self._policy_set = ""

    @property
    def waits(self) -> bool:
        return self._open > 0 or bool(self._backlog)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._listener.admit(self):
            self._transport.abort()
            self._transport = None
            return
        if self._kind == "unix":
            self._check_peer()
        else:
            peer = transport.get_extra_info("peername")
            self._source = f"tcp {peer[0]}:{peer[1]}"
            bound = transport.get_extra_info("socket")
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._token_line is not None:
            self._timer = self._loop.call_later(self._limits.patience, self._refuse, "no token came")

    def _check_peer(self) -> None:
        """Check the user of the sender, which the kernel reports."""
        if self._transport is None:
            return
        bound = self._transport.get_extra_info("socket")
        _, uid, _ = _PEER.unpack(bound.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        self._source = f"unix uid {uid}"
        if uid not in self._uids:
            self._refuse(f"user {uid} may not send events here")

    def _refuse(self, reason: str) -> None:
        self._counts.count_refusal("unauthorized")
        transport, self._transport = self._transport, None
        self._ended = True
        if transport is not None:
            transport.write(_encode({"error": reason}).encode() + b"\n")
            if transport.can_write_eof():
                # If the socket is closed with unread bytes, the kernel resets the connection and the error is lost.
                transport.write_eof()
                self._loop.call_later(_LINGER, transport.abort)
            else:
                transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        # An incomplete last line is dropped.
        self._ended = True
        if not self._backlog:
            self._listener.leave(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._ended:
            return
        if self._token_line is not None:
            data = self._read_token(data)
            if not data:
                return
        self._take(self._splitter.feed(data))

    def _read_token(self, data: bytes) -> bytes:
        """Check the token in the first line; return the bytes after that line."""
        self._token_line = (self._token_line or b"") + data
        line, newline, rest = self._token_line.partition(b"\n")
        if not newline and len(line) <= _MAX_TOKEN_LINE:
            return b""
        scheme, _, token_sent = line.strip().partition(b" ")
        same = hmac.compare_digest(token_sent.strip(), self._token or b"")
        if scheme.lower() != b"bearer" or not same or not newline:
            self._refuse("the first line must be `Bearer TOKEN`")
            return b""
        self._token_line = None
        if self._timer is not None:
            self._timer.cancel()
        return rest

    def eof_received(self) -> bool:
        if not self._ended:
            self._take(self._splitter.end())
            self._ended = True
            self._finish()
        # True keeps the connection open for the summary, which asyncio cannot do with TLS.
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is None

    def wind_up(self) -> None:
        """Read nothing more; drop an incomplete last line."""
        if self._transport is None and not self.waits:
            # It was refused, or the sender has disconnected.
            self._listener.leave(self)
            return
        if not self._ended:
            self._ended = True
            if self._transport is not None:
                self._transport.pause_reading()
        self._finish()

    def abandon(self) -> None:
        """Close now, without an answer."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, chunk: LineChunk | None) -> None:
        if chunk is None:
            return
        self._backlog.append(
            Delivery(
                self._source,
                chunk.data,
                time.time(),
                self._done,
                chunk.first,
                chunk.long,
                self._limits.line,
                kind=self._kind,
            )
        )
        self._hand_in()

    def _hand_in(self) -> None:
        """Put the backlog into the intake; if there is no room, pause reading until there is."""
        try:
            while self._backlog and self._intake.offer(self._backlog[0]):
                self._backlog.pop(0)
                self._open += 1
        except ClosedError:
            self._backlog = []
            self._ended = True
        if self._backlog:
            if self._transport is not None:
                self._transport.pause_reading()
            self._loop.call_later(_CHECK, self._hand_in)
            return
        if self._transport is not None and not self._ended:
            self._transport.resume_reading()
        self._finish()
        if self._transport is None:
            self._listener.leave(self)

    def _done(self, result: DeliveryResult) -> None:
        """Receive the result of a delivery, in the thread of the service loop."""
        # The event loop may be closed already, if draining took too long.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._add, result)

    def _add(self, result: DeliveryResult) -> None:
        self._open -= 1
        self._events += result.events
        self._bad_count += len(result.bad)
        self._bad += result.bad[: max(0, _MAX_ERRORS - len(self._bad))]
        self._outcomes.update(result.outcomes)
        self._policy_set = result.policy_set
        self._finish()

    def _finish(self) -> None:
        """Send the summary and close, if the sender has ended and all deliveries have their results."""
        if not self._ended or self.waits or self._transport is None:
            return
        summary = {
            "accepted": self._events,
            "bad": self._bad_count,
            "outcomes": dict(self._outcomes),
            "policy_set": self._policy_set,
            "errors": [{"line": bad.line, "path": bad.error.path, "reason": bad.error.reason} for bad in self._bad],
        }
        if not self._bad:
            del summary["errors"]
        self._transport.write(_encode(summary).encode() + b"\n")
        self._transport.close()
        self._transport = None
