"""What a service is made of, as values: read from a configuration file, from the command line, or both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.execution.guards.circuit_breakers import Limits
from spyderresp.execution.guards.guard import DEFAULT_KILL_SWITCH
from spyderresp.execution.guards.silences import Silence
from spyderresp.execution.protection import Protection
from spyderresp.policies.diagnostics import Source
from spyderresp.service.intake import MAX_BYTES, MAX_EVENTS
from spyderresp.service.service import DRAIN

MAX_BODY: Final = 8 * 1024 * 1024
MAX_NETWORK_LINE: Final = 1024 * 1024


class PlainScalar(str):
    """A text that its author did not quote: it may be meant as a number or a boolean."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret stands: in a file, or in a variable of the environment. Exactly one is given."""

    file: str | None = None
    env: str | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a TLS listener.

    Attributes:
        certificate: its chain, PEM.
        key: its private key, PEM.
        clients: certificates of authorities, PEM; clients must have one that they signed. None: clients need none.
    """

    certificate: str
    key: str
    clients: str | None = None


@dataclass(frozen=True, slots=True)
class StdinSource:
    """Standard input."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file.

    Attributes:
        path: the file.
        follow: whether to stay and wait for more.
        start: where to begin in a followed file of which no position is kept.
    """

    path: str
    follow: bool = False
    start: Literal["beginning", "end"] = "beginning"


@dataclass(frozen=True, slots=True)
class UnixSource:
    """A Unix socket.

    Attributes:
        path: the socket.
        uids: who may send; None: the service's own user, and root.
        mode: the permissions of the socket.
    """

    path: str
    uids: frozenset[int] | None = None
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """An address that events are sent to.

    Attributes:
        protocol: ``http``, or ``tcp`` for JSON lines.
        host: a name or an address.
        port: 0: any that is free.
        token: what senders must show; None: nothing.
        tls: None: in the clear.
        plain: whether a token may cross a network in the clear.
    """

    protocol: Literal["http", "tcp"]
    host: str
    port: int
    token: Secret | None = None
    tls: Tls | None = None
    plain: bool = False

    @property
    def authenticated(self) -> bool:
        """Whether senders must show who they are."""
        return self.token is not None or (self.tls is not None and self.tls.clients is not None)


@dataclass(frozen=True, slots=True)
class Login:
    """What is shown to a broker.

    Attributes:
        user: a name, with ``password``; None: there is none.
        password: goes with it.
        mechanism: how both are shown: Kafka's SASL mechanism.
        token: instead of both.
        credentials: a file of NATS credentials, instead of both.
    """

    user: str | None = None
    password: Secret | None = None
    mechanism: str = "SCRAM-SHA-512"
    token: Secret | None = None
    credentials: str | None = None


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """Files of a TLS connection to a broker.

    Attributes:
        authorities: certificates of authorities, PEM, one of which signed the broker's; None: those of the system.
        certificate: our own chain, PEM; None: we show none.
        key: its private key, PEM.
    """

    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class BrokerSource:
    """Events out of a broker.

    Attributes:
        kind: of broker.
        servers: where to find it, each ``HOST:PORT``.
        names: Kafka: the topics; NATS: the stream, alone.
        group: Kafka: the consumer group; NATS: the durable consumer.
        dead_letters: the topic or subject that what cannot be decided goes to.
        start: where to begin where the group is new.
        patience: Kafka: for how many seconds the group waits for a member that is silent; NATS: for how many the server
            waits for an acknowledgement; of a consumer that is there already its own.
        subject: NATS: which subjects of the stream; None: all.
        login: None: nothing is shown.
        tls: None: in the clear.
        plain: whether something else encrypts the connection, and knows who is at its ends.
    """

    kind: Literal["kafka", "nats"]
    servers: tuple[str, ...]
    names: tuple[str, ...]
    dead_letters: str
    group: str = "spyderresp"
    start: Literal["beginning", "end"] = "beginning"
    patience: float = 45.0
    subject: str | None = None
    login: Login | None = None
    tls: BrokerTls | None = None
    plain: bool = False

    @property
    def authenticated(self) -> bool:
        """Whether the broker is shown who connects, or something else knows it."""
        return self.login is not None or (self.tls is not None and self.tls.certificate is not None) or self.plain


SourceSettings = StdinSource | FileSource | UnixSource | NetworkSource | BrokerSource


@dataclass(frozen=True, slots=True)
class Monitor:
    """An address for health and metrics."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was said, for messages: a part of a text."""

    source: Source
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """An executor by name, with its settings, and where that was said."""

    name: str
    settings: Mapping[str, Any]
    origin: Origin


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """As of ``spyderresp.guards.Guard``."""

    protection: Protection = field(default_factory=Protection)
    limits: Limits = field(default_factory=Limits)
    expiry: float = 60.0
    kill_switch: str | None = DEFAULT_KILL_SWITCH
    cooldown: float = 0.0
    silences: tuple[Silence, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole service.

    Attributes:
        policies: paths of policies.
        strict: whether lenient repairs are errors.
        defaults, not_in, mode: as of ``Engine``.
        form: the form of all records, or None.
        sources: where events come from.
        executors: what acts; none: flags to standard output, agent actions dry.
        guard: what refuses.
        journal: its path, or None.
        positions: where the positions of followed files are kept; None: beside the journal, where there is one.
        watch: whether changed policy files are loaded.
        monitor: None: health and metrics on HTTP sources only.
        max_events, max_bytes: how much may wait to be decided.
        max_body: the most bytes of an HTTP body.
        max_line: the most bytes of a line that comes over a socket.
        max_connections: how many senders may be connected at once, for each address.
        patience: for how many seconds a sender may take over a request.
        drain: for how many seconds, once told to stop, what was accepted may still take.
        spans: whether OpenTelemetry spans are made.
        path: of the configuration file, or None.
    """

    policies: tuple[str, ...] = ()
    strict: bool = False
    defaults: Defaults = "always"
    not_in: NotIn = "kubernetes"
    mode: Literal["audit"] | None = None
    form: str | None = None
    sources: tuple[SourceSettings, ...] = ()
    executors: tuple[ExecutorSettings, ...] = ()
    guard: GuardSettings = field(default_factory=GuardSettings)
    journal: str | None = None
    positions: str | None = None
    watch: bool = True
    monitor: Monitor | None = None
    max_events: int = MAX_EVENTS
    max_bytes: int = MAX_BYTES
    max_body: int = MAX_BODY
    max_line: int = MAX_NETWORK_LINE
    max_connections: int = 256
    patience: float = 30.0
    drain: float = DRAIN
    spans: bool = False
    path: str | None = None

    @property
    def kept_positions(self) -> str | None:
        """Where positions are kept, or None where they are not."""
        return self.positions or (None if self.journal is None else f"{os.fspath(self.journal)}.positions")
