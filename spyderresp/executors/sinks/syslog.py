"""``Syslog``: sends flags to a syslog receiver, by RFC 5424 over a Unix socket, UDP, TCP or TLS."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import re
import socket
import ssl
import termios
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from spyderresp.events.timestamps import rfc3339
from spyderresp.execution.backoff import Backoff
from spyderresp.execution.interfaces import DeliveryError
from spyderresp.executors.sinks.delivery_queue import FOREVER, RemoteFlagSink
from spyderresp.policies.diagnostics import suggestion
from spyderresp.policies.vocabulary import FLAGS

# Messages. Source: RFC 5424, with the limits of RFC 5426 (UDP) and RFC 5425 (TLS).

_NIL: Final = "-"
_BOM: Final = b"\xef\xbb\xbf"
_FACILITIES: Final = {
    "user": 1, "daemon": 3, "auth": 4, "syslog": 5, "authpriv": 10, "audit": 13, "alert": 14,
    **{f"local{number}": 16 + number for number in range(8)},
}  # fmt: skip
# The severities of syslog: critical, error, warning, notice, informational.
_SEVERITIES: Final = {"critical": 2, "high": 3, "medium": 4, "low": 5, "info": 6}
_KINDS: Final = {"event_redflag": "REDFLAG", "event_opsflag": "OPSFLAG"}
# By importance: if a message is too long, the last ones are left out first.
_PARAMETERS: Final = {
    "id": "id", "severity": "severity", "event": "event_id", "policy": "policy_name", "policyUid": "policy_uid",
    "rule": "rule", "ref": "ref", "cluster": "cluster_name", "host": "hostname", "muid": "muid",
    "namespace": "pod_namespace", "pod": "pod_name", "podUid": "pod_kuid", "container": "container", "image": "image",
    "process": "name", "pid": "pid", "exe": "exe", "user": "euser", "plan": "plan_id",
}  # fmt: skip
_MAX_VALUE: Final = 256
# C0, DEL, C1, line and paragraph separators, characters that change the direction of text, and surrogates.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SPECIAL: Final = re.compile(r'["\\\]]')


@dataclass(frozen=True, slots=True)
class Origin:
    """The sender in the header of a message: ``facility`` is a number of RFC 5424, table 1."""

    host: str
    application: str
    process: int
    facility: int
    enterprise: int


def message(record: Mapping[str, Any], origin: Origin, limit: int, text: str | None = None) -> bytes:
    """Return a flag record as one message of at most ``limit`` bytes.

    A message that is too long gets a shorter text, then fewer parameters.

    Args:
        record: a flag record.
        origin: the sender.
        limit: at least 480.
        text: the text to send, such as the record as JSON. If it is None or too long, the description is sent.
    """
    priority = origin.facility * 8 + _SEVERITIES.get(str(record.get("severity")), 5)
    kind = _KINDS.get(str(record.get("schema")).partition(":")[0], _NIL)
    host, application = _name(origin.host, 255), _name(origin.application, 48)
    header = f"<{priority}>1 {rfc3339(record.get('time')) or _NIL} {host} {application} {origin.process} {kind} "
    start = header.encode("ascii")
    start += _structured_data(record, origin.enterprise, limit - len(start))
    if text is not None and len(whole := start + b" " + _encoded(text)) <= limit:
        return whole
    return _cut(start + b" " + _encoded(escaped(str(record.get("description", "")))), limit, len(start))


def escaped(text: str) -> str:
    """Return a text with a backslash escape for each control character."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def _structured_data(record: Mapping[str, Any], enterprise: int, room: int) -> bytes:
    """Return the structured data with as many parameters as fit into ``room`` bytes."""
    start, end = f"[flag@{enterprise}".encode("ascii"), b"]"
    parts = [start]
    left = room - len(start) - len(end)
    for name, field in _PARAMETERS.items():
        value = record.get(field)
        if value is None:
            continue
        shown = escaped(str(value))
        shown = shown if len(shown) <= _MAX_VALUE else shown[: _MAX_VALUE - 1] + "…"
        shown = _SPECIAL.sub(r"\\\g<0>", shown)
        part = f' {name}="{shown}"'.encode("utf-8", "replace")
        if len(part) > left:
            continue
        parts.append(part)
        left -= len(part)
    return b"".join([*parts, end])


def _encoded(text: str) -> bytes:
    """Return the bytes of a text: ASCII, or UTF-8 after a byte order mark."""
    return text.encode("ascii") if text.isascii() else _BOM + text.encode("utf-8", "replace")


def _cut(whole: bytes, limit: int, least: int) -> bytes:
    """Cut a message to ``limit`` bytes, between characters, but not below ``least`` bytes."""
    if len(whole) <= limit:
        return whole
    at = max(limit, least)
    while at > least and whole[at] & 0xC0 == 0x80:
        at -= 1
    cut = whole[:at]
    # A text of only a byte order mark, or of half of one, is left out.
    return cut if len(cut) > least + 1 + len(_BOM) else whole[:least]


def _name(text: str, most: int) -> str:
    """Return a header field: printable ASCII without spaces."""
    shown = re.sub(r"[^\x21-\x7e]", "_", text)[:most]
    return shown or _NIL


# TCP and TLS. A successful write only puts the bytes into the kernel. To learn whether they arrived, this end of the
# connection is closed, and the receiver's end is waited for.

_READ_BYTES: Final = 65_536


def send(host: str, port: int, data: bytes, *, timeout: float, trust: ssl.SSLContext | None = None) -> None:
    """Send bytes over a new connection within ``timeout`` seconds in all; by TLS if ``trust`` is not None.

    Raises:
        OSError: the receiver did not take them. It cannot be reached, is not trusted, refused, or died; or it neither
            closed its end nor acknowledged every byte in time.
    """
    deadline = time.monotonic() + timeout
    with socket.create_connection((host, port), timeout) as connection:
        if trust is None:
            connection.settimeout(_left(deadline))
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            # Over plain TCP the receiver sends nothing that ends the connection.
            ended: Callable[[bytes], bool] = lambda _: False  # noqa: E731
        else:
            ended = _Tls(connection, trust, host, deadline).send(data)
        _wait_for_end(connection, ended, deadline)


def _left(deadline: float) -> float:
    """Return the seconds until a moment of ``time.monotonic``; raise ``TimeoutError`` if it is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _wait_for_end(connection: socket.socket, ended: Callable[[bytes], bool], deadline: float) -> None:
    """Wait until the receiver closes its end, or ``ended`` returns True for received bytes.

    Raises:
        OSError: the connection broke; or the deadline is over and a byte is not acknowledged.
    """
    with contextlib.suppress(TimeoutError):
        # The deadline also ends a receiver that sends for ever.
        while True:
            connection.settimeout(_left(deadline))
            received = connection.recv(_READ_BYTES)
            if not received or ended(received):
                return
    unacknowledged = array.array("i", [0])
    fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, unacknowledged)
    if unacknowledged[0]:
        raise TimeoutError


class _Tls:
    """TLS over a connection whose two directions are closed one after the other.

    The TLS socket of the standard library closes both at once, and takes a refusal at that moment for a normal end.
    With TLS 1.3 a receiver refuses a missing client certificate only after all data was sent.
    """

    def __init__(self, connection: socket.socket, trust: ssl.SSLContext, host: str, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._secure = trust.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        while self._wants_more(self._secure.do_handshake):
            self._flush()
            connection.settimeout(_left(deadline))
            if received := connection.recv(_READ_BYTES):
                self._incoming.write(received)
            else:
                self._incoming.write_eof()
        self._flush()

    def send(self, data: bytes) -> Callable[[bytes], bool]:
        """Send ``data`` and close the sending side; return the argument ``ended`` of ``_wait_for_end``."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._secure.write(rest) :]
            self._flush()
        # This writes the end of our side. It wants to read the end of the other side, which has not arrived yet.
        self._wants_more(self._secure.unwrap)
        self._flush()
        self._connection.shutdown(socket.SHUT_WR)
        return self._ended

    def _ended(self, received: bytes) -> bool:
        """Return whether received bytes end the connection. Raise ``OSError`` if they are a refusal."""
        self._incoming.write(received)
        try:
            while self._secure.read(_READ_BYTES):
                pass
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            pass
        return True

    def _flush(self) -> None:
        self._connection.settimeout(_left(self._deadline))
        self._connection.sendall(self._outgoing.read())

    @staticmethod
    def _wants_more(act: Callable[[], object]) -> bool:
        """Return whether a TLS operation needs more bytes from the receiver."""
        try:
            act()
        except ssl.SSLWantReadError:
            return True
        return False


_PORTS: Final = {"udp": 514, "tcp": 601, "tls": 6514}
# Sizes that receivers should accept: RFC 5426 3.2, RFC 5425 4.3.1; for a Unix socket the default of daemons.
_LIMITS: Final = {"unix": 8192, "udp": 2048, "tcp": 8192, "tls": 8192}
_MIN_LIMIT: Final = 480
# The private enterprise number for documentation (RFC 5612).
_ENTERPRISE: Final = 32473


class Syslog(RemoteFlagSink):
    """Sends each flag as one message, with its ids as structured data.

    Args:
        address: ``/dev/log`` or another Unix datagram socket; ``udp://host:514``; ``tcp://host:601`` (octet counting,
            RFC 6587); or ``tls://host:6514`` (RFC 5425).
        facility: a facility, such as ``authpriv`` or ``local0``.
        json: whether the message is the record as JSON. Otherwise, and if the JSON is too long, it is the description.
        limit: the most bytes of a message; None: 2048 over UDP, else 8192.
        timeout: seconds for one attempt.
        ca: the path of the certificates of trusted authorities; None: those of the system.
        certificate: the paths of a client certificate and of its key.
        host: the name of this host in messages; None: its host name.
        enterprise: the private enterprise number in the name of the structured data.
        queue: the most records in the queue in memory.
        backoff: the waits of the queue after failures.
        name: the name in reports and in the journal.
        actions: ``makeRedFlag``, ``makeOpsFlag``, or both.
        envelope: ``cloudevents`` or ``ocsf``, as JSON; or None.

    Attributes:
        local: whether the address is a Unix socket, which needs no network.

    Raises:
        ValueError: the facility is unknown, the address is invalid, or the limit is less than 480.
        OSError: a certificate cannot be read.
    """

    def __init__(
        self,
        address: str = "/dev/log",
        *,
        facility: str = "authpriv",
        json: bool = False,
        limit: int | None = None,
        timeout: float = 5.0,
        ca: str | None = None,
        certificate: tuple[str, str] | None = None,
        host: str | None = None,
        enterprise: int = _ENTERPRISE,
        queue: int = 10_000,
        backoff: Backoff = FOREVER,
        name: str = "syslog",
        actions: Iterable[str] = FLAGS,
        envelope: str | None = None,
    ) -> None:
        super().__init__(name, actions, envelope, queue, backoff)
        if facility not in _FACILITIES:
            raise ValueError(f"no facility `{facility}`; {suggestion(facility, _FACILITIES)}")
        self._kind, self._host_or_path, self._port = _parsed(address)
        self.local = self._kind == "unix"
        self._limit = _LIMITS[self._kind] if limit is None else limit
        if self._limit < _MIN_LIMIT:
            raise ValueError(f"`limit` must be at least {_MIN_LIMIT} bytes, not {self._limit}")
        self._json = json or envelope is not None
        self._timeout = timeout
        self._host = socket.gethostname() if host is None else host
        self._facility = _FACILITIES[facility]
        self._enterprise = enterprise
        self._trust: ssl.SSLContext | None = None
        if self._kind == "tls":
            self._trust = ssl.create_default_context(cafile=ca)
            if certificate is not None:
                self._trust.load_cert_chain(*certificate)

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Send records.

        Over TCP and TLS each batch has a connection of its own, so that its end shows whether the receiver took the
        batch. UDP does not show that.

        Raises:
            DeliveryError: the records could not be sent; some may have arrived.
        """
        if not records:
            return
        origin = Origin(self._host, "spyderresp", os.getpid(), self._facility, self._enterprise)
        messages = [
            message(record, origin, self._limit, self.text(record) if self._json else None) for record in records
        ]
        try:
            if self._kind in ("unix", "udp"):
                self._send_each(messages)
            else:
                counted = b"".join(b"%d %b" % (len(item), item) for item in messages)
                send(self._host_or_path, self._port, counted, timeout=self._timeout, trust=self._trust)
        except OSError as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise DeliveryError(f"`{self._host_or_path}`: {reason}") from error

    def _send_each(self, messages: list[bytes]) -> None:
        with self._datagrams() as channel:
            for item in messages:
                channel.send(item)
                # Over UDP the error of a closed port arrives a moment later, if at all.
                if error := channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(error, os.strerror(error))

    def _datagrams(self) -> socket.socket:
        if self._kind == "unix":
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            address: Any = self._host_or_path
        else:
            family, *_, address = socket.getaddrinfo(self._host_or_path, self._port, type=socket.SOCK_DGRAM)[0]
            channel = socket.socket(family, socket.SOCK_DGRAM)
        try:
            channel.settimeout(self._timeout)
            channel.connect(address)
        except BaseException:
            channel.close()
            raise
        return channel


def _parsed(address: str) -> tuple[str, str, int]:
    """Return the kind, the host or path, and the port of an address; raise ``ValueError`` if it is invalid."""
    if address.startswith("/"):
        return "unix", address, 0
    parts: SplitResult = urlsplit(address)
    if parts.scheme == "unix" and parts.path and not parts.netloc:
        return "unix", parts.path, 0
    with contextlib.suppress(ValueError):
        port = parts.port
        bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme in _PORTS and parts.hostname and bare:
            return parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port
    raise ValueError(
        f"`{address}` is not an address; write `/dev/log`, `udp://host:514`, `tcp://host:601` or `tls://host`"
    )
