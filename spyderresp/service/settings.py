"""What a service is made of, as values: read from a configuration file, from the command line, or both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from spyderresp.compiler import Defaults, NotIn
from spyderresp.guards.breakers import Limits
from spyderresp.guards.guard import DEFAULT_KILL_SWITCH
from spyderresp.guards.silences import Silence
from spyderresp.protection import Protection
from spyderresp.service.intake import MAX_BYTES, MAX_EVENTS
from spyderresp.service.service import DRAIN
from spyderresp.source import Source

MAX_BODY: Final = 8 * 1024 * 1024
MAX_NETWORK_LINE: Final = 1024 * 1024


class Bare(str):
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


SourceSettings = StdinSource | FileSource | UnixSource | NetworkSource


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
