"""Events over HTTP: ``POST /v1/events``, JSON or JSON lines; health and metrics. Extra ``http``.

The parser is llhttp's. What a sender can do is bounded: connections, bytes of a head and of a body, and the time from
the first byte of a request to its last. A request is answered when everything about its events is in the journal
(docs/decisions/0036-answers.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, NamedTuple, cast

import httptools

from spyderresp.service.intake import ClosedError, Delivery, DeliveryResult, Intake
from spyderresp.service.metrics import Counts
from spyderresp.service.sources.sockets import Listener

_MOST_HEAD: Final = 32_768
_RETRY_AFTER: Final = "1"
_LINGER: Final = 2.0
_LISTED: Final = 100
EVENTS: Final = b"/v1/events"
_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


@dataclass(frozen=True)
class HttpSettings:
    """What a listener offers.

    Attributes:
        counts: counts what is turned away.
        pages: what is answered to a GET, by path: status, type and body.
        events: whether events are taken.
        token: what senders of events must show; None: nothing.
        guarded: the pages that want the token too.
        max_body: the most bytes of a body.
        patience: for how many seconds a request may take to come.
    """

    counts: Counts
    pages: Mapping[bytes, Callable[[], tuple[int, str, bytes]]]
    events: bool = True
    token: bytes | None = None
    guarded: frozenset[bytes] = frozenset()
    max_body: int = 8 * 1024 * 1024
    patience: float = 30.0


class _Refusal(NamedTuple):
    """Why a request is not answered as its sender wished."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False


class HttpConnection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, site: HttpSettings, listener: Listener, intake: Intake) -> None:
        self._site = site
        self._listener = listener
        self._intake = intake
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._encrypted = False
        self._timer: asyncio.TimerHandle | None = None
        # After an answer that ends the connection what still comes is thrown away, so that the answer can arrive.
        self._lingering = False
        self._closing = False
        self.waits = False
        self._begun = False
        self._begin()

    def _begin(self) -> None:
        self._head = 0
        self._heading = True
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._repeated = False
        self._parts: list[bytes] = []
        self._size = 0
        self._refusal: _Refusal | None = None

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._listener.admit(self):
            self._transport.abort()
            self._transport = None
            return
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and peer else ""
        # asyncio keeps no half-closed connection open under TLS.
        self._encrypted = transport.get_extra_info("sslcontext") is not None
        self._set_timer()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._stop_timer()
        self._transport = None
        self._listener.leave(self)

    def eof_received(self) -> bool:
        # Half closed by the sender: what it sent whole is still answered.
        self._closing = True
        return self.waits and not self._encrypted

    def data_received(self, data: bytes) -> None:
        if self._lingering or self._transport is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(_Refusal(400, "no other protocol is spoken here", close=True))
        except httptools.HttpParserError as error:
            self._end(_Refusal(400, f"not HTTP: {error}", close=True))
        # Counted after the parser had it: it may have begun a new head.
        self._head += len(data) if self._heading else 0
        if self._head > _MOST_HEAD:
            self._end(_Refusal(431, f"the head is longer than {_MOST_HEAD:,} bytes", close=True))

    def wind_up(self) -> None:
        """Take nothing more."""
        self._closing = True
        if not self.waits and self._transport is not None and not self._lingering:
            self._transport.close()

    def abandon(self) -> None:
        """Close at once: nothing will be answered."""
        if self._transport is not None:
            self._transport.abort()

    def _set_timer(self, seconds: float | None = None) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(self._site.patience if seconds is None else seconds, self._late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if self._transport is None:
            return
        if self._lingering or not self._begun:
            self._transport.abort()
            return
        self._end(_Refusal(408, "the request took too long to come", close=True))

    # The parser's side.

    def on_message_begin(self) -> None:
        if self.waits:
            # A second request before the first is answered: its sender will have to come again.
            self._closing = True
            return
        self._begun = True
        self._begin()
        # From the first byte to the last, however they trickle in.
        self._set_timer()

    def on_url(self, url: bytes) -> None:
        if not self.waits:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.waits:
            key = name.lower()
            self._repeated |= key in self._headers and key in (b"authorization", b"content-type")
            self._headers[key] = value

    def on_headers_complete(self) -> None:
        if self.waits:
            return
        self._heading = False
        self._refusal = self._refused()
        if self._refusal is None and self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif self._refusal is not None and self._refusal.close:
            self._end(self._refusal)

    def on_body(self, body: bytes) -> None:
        if self.waits or self._lingering or self._refusal is not None:
            return
        self._size += len(body)
        if self._size > self._site.max_body:
            self._end(self._too_large())
            return
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self.waits or self._lingering:
            return
        self._stop_timer()
        self._begun = False
        if not self._parser.should_keep_alive():
            self._closing = True
        if self._refusal is not None:
            self._end(self._refusal)
        elif self._path in self._site.pages:
            status, kind, body = self._site.pages[self._path]()
            self._answer(status, body, kind)
        else:
            self._take()

    # Ours.

    @property
    def _path(self) -> bytes:
        return self._url.partition(b"?")[0]

    def _refused(self) -> _Refusal | None:
        """Return why a request is refused that can be seen from its head."""
        method, path = self._parser.get_method(), self._path
        if b"upgrade" in self._headers or method == b"CONNECT":
            return _Refusal(400, "no other protocol is spoken here", close=True)
        events = self._site.events and path == EVENTS
        if not events and path not in self._site.pages:
            return _Refusal(404, "nothing is here")
        if (events or path in self._site.guarded) and (refusal := self._stranger()) is not None:
            return refusal
        if events and method != b"POST":
            return _Refusal(405, "events are posted", (("Allow", "POST"),))
        if not events and method not in (b"GET", b"HEAD"):
            return _Refusal(405, "this is to be read", (("Allow", "GET, HEAD"),))
        if not events:
            return None
        if self._headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return _Refusal(415, "the body must not be compressed", (("Accept-Encoding", "identity"),))
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._site.max_body:
            return self._too_large()
        if self._intake.full:
            return self._overload()
        return None

    def _stranger(self) -> _Refusal | None:
        """Return why a sender may not, or None."""
        token = self._site.token
        if token is None:
            # A page in a browser of this machine can reach loopback; nothing that is meant to come here sends these.
            if b"origin" in self._headers or b"sec-fetch-site" in self._headers:
                return _Refusal(403, "browsers are not answered without a token")
            return None
        scheme, _, shown = self._headers.get(b"authorization", b"").partition(b" ")
        same = hmac.compare_digest(shown.strip(), token)
        if scheme.lower() != b"bearer" or not same or self._repeated:
            self._site.counts.turn_away("unauthorized")
            return _Refusal(401, "a bearer token is needed", (("WWW-Authenticate", "Bearer"),))
        return None

    def _too_large(self) -> _Refusal:
        self._site.counts.turn_away("too_large")
        return _Refusal(413, f"the body is larger than {self._site.max_body:,} bytes: send less at a time", close=True)

    def _overload(self) -> _Refusal:
        self._site.counts.turn_away("overload")
        return _Refusal(429, "too much waits to be decided", (("Retry-After", _RETRY_AFTER),))

    def _take(self) -> None:
        """Hand a body in."""
        kind = self._headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        data = b"".join(self._parts)
        self._parts = []
        delivery = Delivery(
            f"http {self._peer}",
            data,
            time.time(),
            self._done,
            whole=kind == b"application/json",
            kind="http",
        )
        try:
            accepted = self._intake.offer(delivery)
        except ClosedError:
            self._end(_Refusal(503, "the service is ending", close=True))
            return
        if not accepted:
            self._end(self._overload())
            return
        self.waits = True
        if self._transport is not None:
            self._transport.pause_reading()

    def _done(self, answer: DeliveryResult) -> None:
        """Hear, in the thread that decides, what became of a body."""
        # The loop may have ended, where draining took too long.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell, answer)

    def _tell(self, answer: DeliveryResult) -> None:
        self.waits = False
        # Nothing of it can be of use: sending it again would not help.
        status = 400 if answer.bad and not answer.events else 200
        self._answer(status, _encode(said_of(answer)).encode(), "application/json")
        if self._transport is not None:
            self._transport.resume_reading()

    def _end(self, refusal: _Refusal) -> None:
        if self._lingering or self._transport is None:
            return
        self._closing = self._closing or refusal.close
        said = _encode({"error": refusal.reason}).encode()
        self._answer(refusal.status, said, "application/json", refusal.headers)

    def _answer(self, status: int, body: bytes, kind: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        closing = self._closing or self._listener.ending
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        if closing:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
        self._send(head if self._parser_method() == b"HEAD" else head + body)
        self._begun = False
        if self._transport is None:
            return
        if not closing:
            self._set_timer()
        else:
            self._lingering = True
            self._parts = []
            if self._transport.can_write_eof():
                self._transport.write_eof()
                self._set_timer(_LINGER)
            else:
                self._transport.close()

    def _parser_method(self) -> bytes:
        try:
            method: bytes = self._parser.get_method()
        except Exception:  # noqa: BLE001 - of what was no request it knows none
            return b""
        return method

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def said_of(answer: DeliveryResult) -> dict[str, Any]:
    """Return an answer as JSON data."""
    said: dict[str, Any] = {
        "accepted": answer.events,
        "bad": len(answer.bad),
        "outcomes": dict(answer.outcomes),
        "policy_set": answer.policy_set,
    }
    if answer.bad:
        said["errors"] = [
            {"line": bad.line, "path": bad.error.path, "reason": bad.error.reason} for bad in answer.bad[:_LISTED]
        ]
    return said
