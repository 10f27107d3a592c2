"""Events over HTTP: ``POST /v1/events`` with JSON or JSON lines; health and metrics. Extra ``http``.

llhttp parses requests. Limits protect the service: the number of connections, the bytes of a head and of a body, and
the time from the first byte of a request to its last. A request is answered after the steps of its events and their
outcomes are in the journal (docs/decisions/0036-answers.md).
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
from spyderresp.service.metrics import Counts, StateReader
from spyderresp.service.sources.sockets import Listener

# The most bytes of a head.
_MAX_HEAD: Final = 32_768
# Seconds after which a refused sender should try again.
_RETRY_AFTER: Final = "1"
# Seconds until a connection is closed after its last response.
_LINGER: Final = 2.0
# The most errors in a response.
_MAX_ERRORS: Final = 100
#: The path of events.
EVENTS: Final = b"/v1/events"
#: The path of metrics.
METRICS: Final = b"/metrics"
#: Returns the status, the media type and the body of a response.
Page = Callable[[], tuple[int, str, bytes]]
_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


@dataclass(frozen=True)
class HttpSettings:
    """The settings of an HTTP listener.

    Attributes:
        counts: counts refused requests.
        pages: the responses to GET, by path.
        events: whether the listener accepts events.
        token: the bearer token that senders of events must send; None: no token. Where events are accepted, metrics
            need it too.
        max_body: the most bytes of a body.
        patience: seconds that a request may take to arrive.
    """

    counts: Counts
    pages: Mapping[bytes, Page]
    events: bool
    token: bytes | None
    max_body: int
    patience: float


class _Refusal(NamedTuple):
    """An error response."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False


class HttpConnection(asyncio.Protocol):
    """One connection. It answers one request at a time."""

    def __init__(self, settings: HttpSettings, listener: Listener, intake: Intake) -> None:
        self._settings = settings
        self._listener = listener
        self._intake = intake
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._encrypted = False
        self._timer: asyncio.TimerHandle | None = None
        # After the last response, incoming data is discarded for a while. Closing at once could reset the connection
        # before the response arrives.
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

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._listener.admit(self):
            self._transport.abort()
            self._transport = None
            return
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and peer else ""
        # asyncio cannot keep a half-closed TLS connection open.
        self._encrypted = transport.get_extra_info("sslcontext") is not None
        self._set_timer()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._stop_timer()
        self._transport = None
        self._listener.leave(self)

    def eof_received(self) -> bool:
        # The sender closed its side. A complete request is still answered.
        self._closing = True
        return self.waits and not self._encrypted

    def data_received(self, data: bytes) -> None:
        if self._lingering or self._transport is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(_Refusal(400, "only HTTP/1.1 is served here", close=True))
        except httptools.HttpParserError as error:
            self._refuse(_Refusal(400, f"not HTTP: {error}", close=True))
        # Count after parsing, which may have begun a new head.
        self._head += len(data) if self._heading else 0
        if self._head > _MAX_HEAD:
            self._refuse(_Refusal(431, f"the head is longer than {_MAX_HEAD:,} bytes", close=True))

    def wind_up(self) -> None:
        """Accept no further request; close when the current one is answered."""
        self._closing = True
        if not self.waits and self._transport is not None and not self._lingering:
            self._transport.close()

    def abandon(self) -> None:
        """Close now, without a response."""
        if self._transport is not None:
            self._transport.abort()

    def _set_timer(self, seconds: float | None = None) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(self._settings.patience if seconds is None else seconds, self._timed_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        if self._transport is None:
            return
        if self._lingering or not self._begun:
            self._transport.abort()
            return
        self._refuse(_Refusal(408, "the request took too long to arrive", close=True))

    # Called by the parser.

    def on_message_begin(self) -> None:
        if self.waits:
            # Pipelining is not supported: the sender must send the second request again.
            self._closing = True
            return
        self._begun = True
        self._begin()
        # One time limit from the first byte to the last, also if bytes arrive slowly.
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
        self._refusal = self._head_refusal()
        if self._refusal is None and self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif self._refusal is not None and self._refusal.close:
            self._refuse(self._refusal)

    def on_body(self, body: bytes) -> None:
        if self.waits or self._lingering or self._refusal is not None:
            return
        self._size += len(body)
        if self._size > self._settings.max_body:
            self._refuse(self._too_large())
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
            self._refuse(self._refusal)
        elif self._path in self._settings.pages:
            status, kind, body = self._settings.pages[self._path]()
            self._respond(status, body, kind)
        else:
            self._take()

    # Requests and responses.

    @property
    def _path(self) -> bytes:
        return self._url.partition(b"?")[0]

    def _head_refusal(self) -> _Refusal | None:
        """Return the error response that the head of the request causes, or None."""
        method, path = self._parser.get_method(), self._path
        if b"upgrade" in self._headers or method == b"CONNECT":
            return _Refusal(400, "only HTTP/1.1 is served here", close=True)
        events = self._settings.events and path == EVENTS
        if not events and path not in self._settings.pages:
            return _Refusal(404, "there is no such page")
        metrics = self._settings.events and path == METRICS
        if (events or metrics) and (refusal := self._unauthorized()) is not None:
            return refusal
        if events and method != b"POST":
            return _Refusal(405, "send events by POST", (("Allow", "POST"),))
        if not events and method not in (b"GET", b"HEAD"):
            return _Refusal(405, "read this page by GET", (("Allow", "GET, HEAD"),))
        if not events:
            return None
        if self._headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return _Refusal(415, "the body must not be compressed", (("Accept-Encoding", "identity"),))
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._settings.max_body:
            return self._too_large()
        if self._intake.full:
            return self._overload()
        return None

    def _unauthorized(self) -> _Refusal | None:
        """Return the error response to a sender that is not authorized, or None."""
        token = self._settings.token
        if token is None:
            # A web page in a browser on this machine can reach loopback. Browsers send these headers; senders do not.
            if b"origin" in self._headers or b"sec-fetch-site" in self._headers:
                return _Refusal(403, "requests of browsers need a token")
            return None
        scheme, _, token_sent = self._headers.get(b"authorization", b"").partition(b" ")
        same = hmac.compare_digest(token_sent.strip(), token)
        if scheme.lower() != b"bearer" or not same or self._repeated:
            self._settings.counts.count_refusal("unauthorized")
            return _Refusal(401, "a bearer token is needed", (("WWW-Authenticate", "Bearer"),))
        return None

    def _too_large(self) -> _Refusal:
        self._settings.counts.count_refusal("too_large")
        return _Refusal(
            413, f"the body is larger than {self._settings.max_body:,} bytes: send less at a time", close=True
        )

    def _overload(self) -> _Refusal:
        self._settings.counts.count_refusal("overload")
        return _Refusal(429, "too many events wait to be decided", (("Retry-After", _RETRY_AFTER),))

    def _take(self) -> None:
        """Put a body into the intake."""
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
            self._refuse(_Refusal(503, "the service is ending", close=True))
            return
        if not accepted:
            self._refuse(self._overload())
            return
        self.waits = True
        if self._transport is not None:
            self._transport.pause_reading()

    def _done(self, result: DeliveryResult) -> None:
        """Receive the result of a body, in the thread of the service loop."""
        # The event loop may be closed already, if draining took too long.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._send_result, result)

    def _send_result(self, result: DeliveryResult) -> None:
        self.waits = False
        # 400 only if no event is good. The sender must not send it again.
        status = 400 if result.bad and not result.events else 200
        self._respond(status, _encode(result_json(result)).encode(), "application/json")
        if self._transport is not None:
            self._transport.resume_reading()

    def _refuse(self, refusal: _Refusal) -> None:
        if self._lingering or self._transport is None:
            return
        self._closing = self._closing or refusal.close
        body = _encode({"error": refusal.reason}).encode()
        self._respond(refusal.status, body, "application/json", refusal.headers)

    def _respond(self, status: int, body: bytes, kind: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
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
        except Exception:  # noqa: BLE001 - the parser has no method before it read a request line
            return b""
        return method

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def health_pages(counts: Counts, watch: StateReader) -> dict[bytes, Page]:
    """Return the pages for health and metrics, by path."""
    try:
        from spyderresp.service import prometheus
    except ImportError:
        exposition = None
    else:
        exposition = prometheus.exposition(counts, watch.state)

    def alive() -> tuple[int, str, bytes]:
        return 200, "application/json", b'{"alive":true}'

    def ready() -> tuple[int, str, bytes]:
        state = watch.state()
        answer = {
            "ready": state.ready and state.journal,
            "accepting": state.ready,
            "journal": state.journal,
            "policies": state.policies,
            "policy_set": state.digest,
            "waiting": state.waiting,
            "halted": state.halted,
            "breakers": sorted(state.breakers),
        }
        return (200 if answer["ready"] else 503), "application/json", json.dumps(answer).encode()

    def metrics() -> tuple[int, str, bytes]:
        if exposition is None:
            hint = b'{"error":"metrics need the extra `metrics`: pip install \'spyderresp[metrics]\'"}'
            return 501, "application/json", hint
        return 200, prometheus.CONTENT_TYPE, exposition()

    return {b"/healthz": alive, b"/readyz": ready, METRICS: metrics}


def result_json(result: DeliveryResult) -> dict[str, Any]:
    """Return a result as JSON data."""
    data: dict[str, Any] = {
        "accepted": result.events,
        "bad": len(result.bad),
        "outcomes": dict(result.outcomes),
        "policy_set": result.policy_set,
    }
    if result.bad:
        data["errors"] = [
            {"line": bad.line, "path": bad.error.path, "reason": bad.error.reason} for bad in result.bad[:_MAX_ERRORS]
        ]
    return data
