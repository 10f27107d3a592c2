"""Flags to a syslog receiver: RFC 5424 over a Unix socket, UDP, TCP or TLS."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from spyderresp.executors.backoff import Backoff
from spyderresp.executors.base import DeliveryError
from spyderresp.executors.courier import PATIENT
from spyderresp.executors.remote_sink import RemoteFlagSink
from spyderresp.executors.rfc5424 import FACILITIES, Origin, message
from spyderresp.executors.streams import send
from spyderresp.findings import suggestion
from spyderresp.vocabulary import FLAGS

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
