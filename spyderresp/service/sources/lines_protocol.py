"""Events as JSON lines over a Unix or TCP socket: pushed back by not reading on, and summed up at the end."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import socket
import struct
import time
from collections import Counter
from typing import Final, cast

from spyderresp.service.counts import Counts
from spyderresp.service.intake import Answer, Bad, ClosedError, Delivery, Intake
from spyderresp.service.lines import Cutter, Piece
from spyderresp.service.sources.listening import Listener

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
        self._cutter = Cutter(max_line)
        self._held: list[Delivery] = []
        self._open = 0
        self._ended = False
        self._events = 0
        self._bad: list[Bad] = []
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

    def _take(self, piece: Piece | None) -> None:
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

    def _done(self, answer: Answer) -> None:
        """Hear, in the thread that decides, what became of a piece."""
        # The loop may have ended, where draining took too long.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._add, answer)

    def _add(self, answer: Answer) -> None:
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
