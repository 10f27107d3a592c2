"""Settings into the parts of a service: everything is made here, and nothing is started."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.errors import Diagnostic, needs_extra
from spyderresp.execution.guards import Guard
from spyderresp.execution.interfaces import Executor
from spyderresp.executors.discovery import ExecutorError
from spyderresp.policies.diagnostics import Findings
from spyderresp.policies.vocabulary import FLAGS
from spyderresp.service.config.executor_settings import Installed
from spyderresp.service.config.load import ConfigurationError
from spyderresp.service.config.secrets import LEAST, SecretError, read_secret
from spyderresp.service.config.settings import (
    BrokerSource,
    FileSource,
    Monitor,
    NetworkSource,
    Secret,
    Settings,
    SourceSettings,
    StdinSource,
    UnixSource,
)
from spyderresp.service.intake import Intake
from spyderresp.service.metrics import Counts, ServiceObserver, Watch
from spyderresp.service.sources.base import Source
from spyderresp.service.sources.file import Followed, Positions, Stream
from spyderresp.service.sources.sockets import LinesConnection, Listener, NetworkPlace, UnixPlace
from spyderresp.service.trusted_files import privileged, untrusted_files, untrusted_reason

# Settings of brokers into sources: what each client library is told.


def broker_of(said: BrokerSource, settings: Settings, observer: ServiceObserver, counts: Counts) -> Source:
    """Return a source out of a broker.

    Raises:
        ImportError: its extra is not installed.
        SecretError: a secret or a certificate cannot be read.
    """
    for path in files_of(said):
        _look_at(path)
    return (_kafka if said.kind == "kafka" else _nats)(said, settings, observer, counts)


def _look_at(path: str) -> None:
    """See that a file can be read: the libraries say only that something failed."""
    try:
        with open(path, "rb"):
            pass
    except (OSError, ValueError) as error:
        raise SecretError(f"{path}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None


def files_of(said: BrokerSource) -> tuple[str, ...]:
    """Return the files that say who a broker is, and who we are; secrets aside."""
    tls, login = said.tls, said.login
    files = ([tls.authorities, tls.certificate, tls.key] if tls else []) + ([login.credentials] if login else [])
    return tuple(path for path in files if path is not None)


def _kafka(said: BrokerSource, settings: Settings, observer: ServiceObserver, counts: Counts) -> Source:
    with needs_extra("kafka", "reading from Kafka"):
        from spyderresp.service.sources.kafka import Kafka
    return Kafka(
        f"kafka {','.join(said.servers)}/{','.join(said.names)}",
        said.names,
        librdkafka(said),
        observer,
        counts,
        group=said.group,
        start="earliest" if said.start == "beginning" else "latest",
        dead_letters=said.dead_letters,
        session=said.patience,
        max_size=settings.max_body,
        max_events=settings.max_events,
        max_bytes=settings.max_bytes,
    )


def librdkafka(said: BrokerSource) -> dict[str, Any]:
    """Return librdkafka's settings of a connection.

    Raises:
        SecretError: a secret cannot be read.
    """
    login, tls = said.login, said.tls
    told: dict[str, Any] = {"bootstrap.servers": ",".join(said.servers)}
    told["security.protocol"] = f"{'SASL_' if login else ''}{'SSL' if tls else 'PLAINTEXT'}"
    if login is not None:
        told |= {"sasl.mechanism": login.mechanism, "sasl.username": login.user, "sasl.password": _read(login.password)}
    if tls is not None:
        files = {
            "ssl.ca.location": tls.authorities,
            "ssl.certificate.location": tls.certificate,
            "ssl.key.location": tls.key,
        }
        told |= {key: path for key, path in files.items() if path is not None}
    return told


def _nats(said: BrokerSource, settings: Settings, observer: ServiceObserver, counts: Counts) -> Source:
    with needs_extra("nats", "reading from NATS"):
        from spyderresp.service.sources import nats
    login, tls = said.login, said.tls
    told: dict[str, Any] = {"servers": [f"{'tls' if tls else 'nats'}://{server}" for server in said.servers]}
    if login is not None:
        given = {"user": login.user, "password": _read(login.password), "token": _read(login.token)}
        told |= {key: value for key, value in given.items() if value}
        if login.credentials is not None:
            told["user_credentials"] = login.credentials
    if tls is not None:
        try:
            told["tls"] = nats.client_tls_context(tls.authorities, tls.certificate, tls.key)
        except OSError as error:
            raise SecretError(f"`tls`: {(error.strerror or str(error)).lower()}") from None
    (stream,) = said.names
    return nats.Nats(
        f"nats {','.join(said.servers)}/{stream}",
        stream,
        told,
        observer,
        counts,
        consumer=said.group,
        subject=said.subject,
        start=said.start,
        dead_letters=said.dead_letters,
        wait=said.patience,
        max_size=settings.max_body,
        max_events=settings.max_events,
        max_bytes=settings.max_bytes,
    )


def _read(secret: Secret | None) -> str:
    return "" if secret is None else read_secret(secret).decode("utf-8", "surrogateescape")


_JSON: Final = "application/json"
_INHERITED: Final = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


def guard_of(settings: Settings) -> Guard:
    """Return the guard."""
    said = settings.guard
    return Guard(
        protection=said.protection,
        limits=said.limits,
        expiry=said.expiry,
        kill_switch=said.kill_switch,
        mode=settings.mode,
        cooldown=said.cooldown,
        silences=said.silences,
    )


def is_finite(source: SourceSettings) -> bool:
    """Tell whether a source comes to an end by itself."""
    return isinstance(source, StdinSource) or (isinstance(source, FileSource) and not source.follow)


def executors_of(settings: Settings, installed: Installed) -> tuple[Executor, ...]:
    """Return the executors that were named.

    Raises:
        ConfigurationError: one cannot be made as it was set up.
    """
    findings = Findings()
    made: list[Executor] = []
    for said in settings.executors:
        at = said.origin
        try:
            executor = installed.make(said.name, said.settings)
        except SecretError as error:
            findings.add("SR612", f"`{said.name}`: {error}", at.source, at.start, at.end)
        except ExecutorError as error:
            findings.add("SR609", str(error), at.source, at.start, at.end)
        else:
            if any(executor.name == other.name for other in made):
                said_twice = f"two executors are called `{executor.name}`"
                findings.add("SR609", said_twice, at.source, at.start, at.end, "give one of them another `name`")
            made.append(executor)
    if findings.errors:
        for executor in made:
            executor.close()
        raise ConfigurationError(tuple(findings.items))
    return tuple(made)


def has_real_agent_actions(executors: Iterable[Executor]) -> bool:
    """Tell whether any executor acts on processes or pods for real."""
    return any(executor.actions - FLAGS and not getattr(executor, "dry", False) for executor in executors)


def distrusted_policies(settings: Settings) -> Iterator[str]:
    """Yield why the policies may not be believed, where this process can kill."""
    if privileged():
        for path in settings.policies:
            yield from untrusted_files(path)


def require_trusted_files(settings: Settings) -> None:
    """See that a service that can kill believes only what nobody else can change, and nobody unknown.

    Raises:
        ConfigurationError: it would.
    """
    if not privileged():
        return
    reasons = list(distrusted_policies(settings))
    files = [settings.path, settings.journal, settings.kept_positions]
    for source in settings.sources:
        if isinstance(source, (FileSource, UnixSource)):
            # A descriptor that was handed over is as good as standard input.
            files.append(None if source.path.startswith(_INHERITED) else source.path)
        elif isinstance(source, NetworkSource):
            files += [source.token.file if source.token else None]
            files += [source.tls.certificate, source.tls.key, source.tls.clients] if source.tls else []
        elif isinstance(source, BrokerSource):
            secrets = (source.login.password, source.login.token) if source.login else ()
            files += [*files_of(source), *(secret.file for secret in secrets if secret)]
    reasons += [reason for path in files if path is not None and (reason := distrust_place(path)) is not None]
    help = "make root or this user its owner, and `chmod go-w` it"  # noqa: A001 - the field's name
    found = [diagnosed("SR613", reason, help) for reason in reasons]
    for source in settings.sources:
        if isinstance(source, NetworkSource) and not source.authenticated:
            said = f"{source.protocol} {source.host}:{source.port}: senders need not show who they are"
            found.append(diagnosed("SR610", said, "give it a `token`, or `tls` with `clients`"))
        elif isinstance(source, BrokerSource) and not source.authenticated:
            said = f"{source.kind} {source.servers[0]}: the broker does not ask who connects: anybody may send events"
            help = "log in, or give `tls` a `certificate`; `plain: true` where something else sees to it"  # noqa: A001
            found.append(diagnosed("SR610", said, help))
    if found:
        raise ConfigurationError(tuple(found))


def require_journal(settings: Settings) -> None:
    """See that what a broker delivers again is known: a service that kills remembers in a journal what it did.

    Raises:
        ConfigurationError: it would not.
    """
    if settings.journal is None:
        help = "name one by `journal`, or `--journal PATH`"  # noqa: A001 - the field's name
        found = [
            diagnosed("SR602", f"{source.kind}: there is no journal, and a broker delivers events again", help)
            for source in settings.sources
            if isinstance(source, BrokerSource)
        ]
        if found:
            raise ConfigurationError(tuple(found))


def distrust_place(path: str) -> str | None:
    """Return why a file is not to be believed, be it there or to be made; None where it is."""
    reason = untrusted_reason(path)
    if reason is not None and "no such file" in reason:
        return untrusted_reason(path.rpartition("/")[0] or ("/" if path.startswith("/") else "."))
    return reason


def diagnosed(code: str, message: str, help: str = "") -> Diagnostic:
    """Return a diagnostic about what has no text."""
    findings = Findings()
    findings.about_path(code, message.partition(": ")[2] or message, message.partition(": ")[0], help)
    return findings.items[0]


@dataclass(frozen=True)
class SourceFactory:
    """What making sources needs beside their settings.

    Attributes:
        settings: of the whole service.
        positions: of followed files.
        observer: receives messages about followed files.
        counts: counts what is turned away.
        watch: looks at the service, for health and metrics.
    """

    settings: Settings
    positions: Positions
    observer: ServiceObserver
    counts: Counts
    watch: Watch

    def sources(self) -> Sequence[Source]:
        """Return the sources.

        Raises:
            ConfigurationError: an extra is missing, or a token cannot be read.
        """
        return [self._source(said) for said in self.settings.sources]

    def monitor(self, said: Monitor) -> Source:
        """Return what answers about health and metrics; it takes no events."""
        return self._http(said.host, said.port, "monitor {}", events=False)

    def _source(self, said: SourceSettings) -> Source:
        if isinstance(said, StdinSource):
            return Stream(None)
        if isinstance(said, FileSource):
            if said.follow:
                return Followed(said.path, self.positions, self.observer, start=said.start)
            return Stream(said.path)
        if isinstance(said, UnixSource):
            return self._listener(f"unix {said.path}", UnixPlace(said.path, said.mode), "unix", uids=said.uids)
        if isinstance(said, BrokerSource):
            return self._broker(said)
        token = None
        if said.token is not None:
            try:
                token = read_secret(said.token, least=LEAST)
            except SecretError as error:
                raise ConfigurationError((diagnosed("SR612", f"{said.protocol} token: {error}"),)) from None
        if said.protocol == "http":
            return self._http(said.host, said.port, "http {}", token=token, source=said)
        place = NetworkPlace(said.host, said.port)
        return self._listener("tcp {}", place, "tcp", token=token, source=said)

    def _broker(self, said: BrokerSource) -> Source:
        where = f"{said.kind} {said.servers[0]}"
        try:
            return broker_of(said, self.settings, self.observer, self.counts)
        except ImportError as error:
            raise ConfigurationError((diagnosed("SR608", f"{where}: {error}"),)) from None
        except SecretError as error:
            raise ConfigurationError((diagnosed("SR612", f"{where}: {error}"),)) from None

    def _listener(
        self,
        name: str,
        place: NetworkPlace | UnixPlace,
        kind: str,
        *,
        token: bytes | None = None,
        uids: frozenset[int] | None = None,
        source: NetworkSource | None = None,
    ) -> Listener:
        settings, counts = self.settings, self.counts

        def connect(listener: Listener, intake: Intake) -> asyncio.Protocol:
            return LinesConnection(
                listener,
                intake,
                counts,
                kind,
                token=token,
                uids=uids,
                max_line=settings.max_line,
                patience=settings.patience,
            )

        return self._listening(name, place, connect, source)

    def _http(
        self,
        host: str,
        port: int,
        name: str,
        *,
        events: bool = True,
        token: bytes | None = None,
        source: NetworkSource | None = None,
    ) -> Listener:
        try:
            with needs_extra("http", "listening for HTTP"):
                from spyderresp.service.sources import http
        except ImportError as error:
            raise ConfigurationError((diagnosed("SR608", f"{name.format(port)}: {error}"),)) from None
        site = http.HttpSettings(
            self.counts,
            self._pages(),
            events,
            token,
            frozenset({b"/metrics"}) if events else frozenset(),
            self.settings.max_body,
            self.settings.patience,
        )

        def connect(listener: Listener, intake: Intake) -> asyncio.Protocol:
            return http.HttpConnection(site, listener, intake)

        return self._listening(name, NetworkPlace(host, port), connect, source)

    def _listening(
        self,
        name: str,
        place: NetworkPlace | UnixPlace,
        connect: Callable[[Listener, Intake], asyncio.Protocol],
        source: NetworkSource | None,
    ) -> Listener:
        return Listener(
            name,
            place,
            connect,
            self.counts,
            tls=source.tls if source is not None else None,
            most=self.settings.max_connections,
            patience=self.settings.patience,
        )

    def _pages(self) -> dict[bytes, Callable[[], tuple[int, str, bytes]]]:
        """Return what is answered about health and figures, by path: status, type and body."""
        watch = self.watch
        try:
            from spyderresp.service import prometheus
        except ImportError:
            exposition = None
        else:
            exposition = prometheus.exposition(self.counts, watch.state)

        def alive() -> tuple[int, str, bytes]:
            return 200, _JSON, b'{"alive":true}'

        def ready() -> tuple[int, str, bytes]:
            state = watch.state()
            said = {
                "ready": state.ready and state.journal,
                "accepting": state.ready,
                "journal": state.journal,
                "policies": state.policies,
                "policy_set": state.digest,
                "waiting": state.waiting,
            }
            return (200 if said["ready"] else 503), _JSON, json.dumps(said).encode()

        def figures() -> tuple[int, str, bytes]:
            if exposition is None:
                return 501, _JSON, b'{"error":"metrics need the extra `metrics`: pip install \'spyderresp[metrics]\'"}'
            return 200, prometheus.CONTENT_TYPE, exposition()

        return {b"/healthz": alive, b"/readyz": ready, b"/metrics": figures}
