"""Flags to a syslog receiver: RFC 5424 over a Unix socket, UDP, TCP or TLS."""

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
from spyderresp.executors.sinks.delivery_queue import PATIENT, RemoteFlagSink
from spyderresp.policies.diagnostics import suggestion
from spyderresp.policies.vocabulary import FLAGS

# A flag record as a syslog message.
#
# Source: RFC 5424; the limits of RFC 5426 (UDP) and RFC 5425 (TLS).

_NIL: Final = "-"
_BOM: Final = b"\xef\xbb\xbf"
FACILITIES: Final = {
    "user": 1, "daemon": 3, "auth": 4, "syslog": 5, "authpriv": 10, "audit": 13, "alert": 14,
    **{f"local{number}": 16 + number for number in range(8)},
}  # fmt: skip
#: critical, error, warning, notice, informational.
SEVERITIES: Final = {"critical": 2, "high": 3, "medium": 4, "low": 5, "info": 6}
_KINDS: Final = {"event_redflag": "REDFLAG", "event_opsflag": "OPSFLAG"}
# In the order of their weight: where a message is too long the last are left out first.
_PARAMETERS: Final = {
    "id": "id", "severity": "severity", "event": "event_id", "policy": "policy_name", "policyUid": "policy_uid",
    "rule": "rule", "ref": "ref", "cluster": "cluster_name", "host": "hostname", "muid": "muid",
    "namespace": "pod_namespace", "pod": "pod_name", "podUid": "pod_kuid", "container": "container", "image": "image",
    "process": "name", "pid": "pid", "exe": "exe", "user": "euser", "plan": "plan_id",
}  # fmt: skip
_LONGEST_VALUE: Final = 256
# C0, DEL, C1, the separators of lines and paragraphs, and what turns the direction of text.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SPECIAL: Final = re.compile(r'["\\\]]')


@dataclass(frozen=True, slots=True)
class Origin:
    """What the header says of the sender.

    Attributes:
        host: its name.
        application: its name.
        process: its process id.
        facility: a number of RFC 5424, table 1.
        enterprise: the private enterprise number that the structured data's name bears.
    """

    host: str
    application: str
    process: int
    facility: int
    enterprise: int


def message(record: Mapping[str, Any], origin: Origin, limit: int, text: str | None = None) -> bytes:
    """Return a record as one message of at most ``limit`` bytes.

    Args:
        record: a flag record.
        origin: the sender.
        limit: at least 480; of what is too long the text is cut first, then the last parameters are left out.
        text: what stands for people's text, JSON say. Where it does not fit people's text stands there: half a JSON
            document is none.
    """
    priority = origin.facility * 8 + SEVERITIES.get(str(record.get("severity")), 5)
    kind = _KINDS.get(str(record.get("schema")).partition(":")[0], _NIL)
    host, application = _name(origin.host, 255), _name(origin.application, 48)
    header = f"<{priority}>1 {rfc3339(record.get('time')) or _NIL} {host} {application} {origin.process} {kind} "
    start = header.encode("ascii")
    element = _element(record, origin.enterprise, limit - len(start))
    start += element
    if text is not None and len(whole := start + b" " + _part(text)) <= limit:
        return whole
    return _cut(start + b" " + _part(escaped(str(record.get("description", "")))), limit, len(start))


def escaped(text: str) -> str:
    """Return a text without control characters: a backslash escape stands for each."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _element(record: Mapping[str, Any], enterprise: int, room: int) -> bytes:
    """Return the structured data: as many parameters as fit, in their order."""
    start, end = f"[flag@{enterprise}".encode("ascii"), b"]"
    parts = [start]
    left = room - len(start) - len(end)
    for name, field in _PARAMETERS.items():
        value = record.get(field)
        if value is None:
            continue
        shown = escaped(str(value))
        shown = shown if len(shown) <= _LONGEST_VALUE else shown[: _LONGEST_VALUE - 1] + "…"
        part = f' {name}="{_SPECIAL.sub(_backslashed, shown)}"'.encode("utf-8", "replace")
        if len(part) > left:
            continue
        parts.append(part)
        left -= len(part)
    return b"".join([*parts, end])


def _backslashed(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _part(text: str) -> bytes:
    """Return the message part: ASCII as it stands, all else as UTF-8, which begins with a byte order mark."""
    return text.encode("ascii") if text.isascii() else _BOM + text.encode("utf-8", "replace")


def _cut(whole: bytes, limit: int, least: int) -> bytes:
    """Cut between characters."""
    if len(whole) <= limit:
        return whole
    at = max(limit, least)
    while at > least and whole[at] & 0xC0 == 0x80:
        at -= 1
    cut = whole[:at]
    # Half a mark says nothing.
    return cut if len(cut) > least + 1 + len(_BOM) else whole[:least]


def _name(text: str, most: int) -> str:
    """Return a header field: printable ASCII without spaces."""
    shown = re.sub(r"[^\x21-\x7e]", "_", text)[:most]
    return shown or _NIL


# Sending bytes over TCP or TLS, and knowing afterwards whether they arrived.
#
# A write that succeeds says only that the kernel has the bytes. So the connection is closed from here, and the other
# end of it waited for.

_PART: Final = 65_536


def send(host: str, port: int, data: bytes, *, timeout: float, trust: ssl.SSLContext | None = None) -> None:
    """Send bytes over a connection of their own, as a whole within ``timeout`` seconds.

    Raises:
        OSError: the receiver did not take them: it is not there or not trusted, refused, died, or neither closed its
            end nor acknowledged every byte in time.
    """
    deadline = time.monotonic() + timeout
    with socket.create_connection((host, port), timeout) as connection:
        if trust is None:
            connection.settimeout(_left(deadline))
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            heard: Callable[[bytes], bool] = _nothing
        else:
            heard = _Secure(connection, trust, host, deadline).sent(data)
        _wait_for_end(connection, heard, deadline)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _nothing(_part: bytes) -> bool:
    """Receivers have nothing to say over plain TCP."""
    return False


def _wait_for_end(connection: socket.socket, heard: Callable[[bytes], bool], deadline: float) -> None:
    """Wait until the receiver has closed its end; else every byte must be acknowledged."""
    with contextlib.suppress(TimeoutError):
        # By the time, too: it may talk on and on.
        while True:
            connection.settimeout(_left(deadline))
            part = connection.recv(_PART)
            if not part or heard(part):
                return
    held = array.array("i", [0])
    fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, held)
    if held[0]:
        raise TimeoutError


class _Secure:
    """TLS over a connection, with its two directions apart.

    The socket of the standard library ends both at once, and takes a refusal that comes then for an end: with TLS 1.3 a
    receiver that wants a certificate says so after everything was sent.
    """

    def __init__(self, connection: socket.socket, trust: ssl.SSLContext, host: str, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._secure = trust.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        while self._wants_more(self._secure.do_handshake):
            self._flush()
            connection.settimeout(_left(deadline))
            part = connection.recv(_PART)
            if part:
                self._incoming.write(part)
            else:
                self._incoming.write_eof()
        self._flush()

    def sent(self, data: bytes) -> Callable[[bytes], bool]:
        """Send bytes and the end of them; return what is to hear what comes back."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._secure.write(rest) :]
            self._flush()
        # Nothing has come in that was not read: it says our end, and wants to read theirs.
        self._wants_more(self._secure.unwrap)
        self._flush()
        self._connection.shutdown(socket.SHUT_WR)
        return self._heard

    def _heard(self, part: bytes) -> bool:
        """Take in what came; tell whether it was the receiver's end. A refusal is raised."""
        self._incoming.write(part)
        try:
            while self._secure.read(_PART):
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
        try:
            act()
        except ssl.SSLWantReadError:
            return True
        return False


_PORTS: Final = {"udp": 514, "tcp": 601, "tls": 6514}
# What receivers should take: RFC 5426 3.2, RFC 5425 4.3.1; a Unix socket as the daemons' default.
_LIMITS: Final = {"unix": 8192, "udp": 2048, "tcp": 8192, "tls": 8192}
_SHORTEST: Final = 480
#: Private enterprise number for documentation (RFC 5612).
_ENTERPRISE: Final = 32473


class Syslog(RemoteFlagSink):
    """Sends each flag as one message, with its ids as structured data.

    Args:
        address: ``/dev/log`` or another Unix datagram socket, ``udp://host:514``, ``tcp://host:601`` (octet counting,
            RFC 6587) or ``tls://host:6514`` (RFC 5425).
        facility: such as ``authpriv`` or ``local0``.
        json: the message is the record as JSON; else, and where that is too long, it is the description.
        limit: the most bytes of a message; default: 2048 over UDP, else 8192.
        timeout: seconds for one attempt.
        ca: path of the authorities to trust; default: the system's.
        certificate: paths of a client certificate and of its key.
        host: what the messages call this host; default: its name.
        enterprise: private enterprise number in the name of the structured data.
        queue: how many records may wait in memory.
        backoff: how long its own queue waits after a failure.
        name: what reports call it.
        actions: what it takes.
        envelope: ``cloudevents`` or ``ocsf``, as JSON; None.

    Attributes:
        local: true for a Unix socket: it takes messages at once, or not.

    Raises:
        ValueError: there is no such facility, the address is none, or the limit is below 480.
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
        backoff: Backoff = PATIENT,
        name: str = "syslog",
        actions: Iterable[str] = FLAGS,
        envelope: str | None = None,
    ) -> None:
        super().__init__(name, actions, envelope, queue, backoff)
        if facility not in FACILITIES:
            raise ValueError(f"no facility `{facility}`; {suggestion(facility, FACILITIES)}")
        self._kind, self._place, self._port = _parted(address)
        self.local = self._kind == "unix"
        self._limit = _LIMITS[self._kind] if limit is None else limit
        if self._limit < _SHORTEST:
            raise ValueError(f"a message has room for at least {_SHORTEST} bytes")
        self._json = json or envelope is not None
        self._timeout = timeout
        self._host = socket.gethostname() if host is None else host
        self._facility = FACILITIES[facility]
        self._enterprise = enterprise
        self._trust: ssl.SSLContext | None = None
        if self._kind == "tls":
            self._trust = ssl.create_default_context(cafile=ca)
            if certificate is not None:
                self._trust.load_cert_chain(*certificate)

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Send records.

        Over TCP and TLS the connection is closed after each batch, and the receiver's end of it waited for: what it
        did not acknowledge is not taken as delivered. UDP acknowledges nothing.

        Raises:
            DeliveryError: they could not be sent; some may have been.
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
                send(self._place, self._port, counted, timeout=self._timeout, trust=self._trust)
        except OSError as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise DeliveryError(f"`{self._place}`: {reason}") from error

    def _send_each(self, messages: list[bytes]) -> None:
        with self._datagrams() as channel:
            for item in messages:
                channel.send(item)
                # Over UDP a port where nobody listens is told of a moment later, if at all.
                if error := channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(error, os.strerror(error))

    def _datagrams(self) -> socket.socket:
        if self._kind == "unix":
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            place: Any = self._place
        else:
            family, *_, place = socket.getaddrinfo(self._place, self._port, type=socket.SOCK_DGRAM)[0]
            channel = socket.socket(family, socket.SOCK_DGRAM)
        try:
            channel.settimeout(self._timeout)
            channel.connect(place)
        except BaseException:
            channel.close()
            raise
        return channel


def _parted(address: str) -> tuple[str, str, int]:
    """Return the kind, the host or path, and the port of an address."""
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
    raise ValueError(f"`{address}` is no address; write `/dev/log`, `udp://host:514`, `tcp://host:601` or `tls://host`")
