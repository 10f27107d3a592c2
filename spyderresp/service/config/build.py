"""Makes the parts of a service from its settings: sources, executors and the guard. Starts nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.errors import Diagnostic, needs_extra
from spyderresp.execution.guards.guard import Guard
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

# Brokers: the settings of each client library.


def broker_of(source: BrokerSource, settings: Settings, observer: ServiceObserver, counts: Counts) -> Source:
    """Return a source that reads from a broker.

    Raises:
        ImportError: its extra is not installed.
        SecretError: a secret or a certificate cannot be read.
    """
    for path in files_of(source):
        _check_readable(path)
    return (_kafka if source.kind == "kafka" else _nats)(source, settings, observer, counts)


def _check_readable(path: str) -> None:
    """Raise where a file cannot be read: the libraries would only report that something failed."""
    try:
        with open(path, "rb"):
            pass
    except (OSError, ValueError) as error:
        raise SecretError(f"{path}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None


def files_of(source: BrokerSource) -> tuple[str, ...]:
    """Return the files of certificates, keys and credentials for a broker, without files of secrets."""
    tls, login = source.tls, source.login
    files = ([tls.authorities, tls.certificate, tls.key] if tls else []) + ([login.credentials] if login else [])
    return tuple(path for path in files if path is not None)


def _kafka(source: BrokerSource, settings: Settings, observer: ServiceObserver, counts: Counts) -> Source:
    with needs_extra("kafka", "reading from Kafka"):
        from spyderresp.service.sources.kafka import Kafka
    return Kafka(
        f"kafka {','.join(source.servers)}/{','.join(source.names)}",
        source.names,
        librdkafka(source),
        observer,
        counts,
        group=source.group,
        start="earliest" if source.start == "beginning" else "latest",
        dead_letters=source.dead_letters,
        session=source.patience,
        max_size=settings.max_body,
        max_events=settings.max_events,
        max_bytes=settings.max_bytes,
    )


def librdkafka(source: BrokerSource) -> dict[str, Any]:
    """Return librdkafka's settings of a connection.

    Raises:
        SecretError: a secret cannot be read.
    """
    login, tls = source.login, source.tls
    options: dict[str, Any] = {"bootstrap.servers": ",".join(source.servers)}
    options["security.protocol"] = f"{'SASL_' if login else ''}{'SSL' if tls else 'PLAINTEXT'}"
    if login is not None:
        options |= {
            "sasl.mechanism": login.mechanism,
            "sasl.username": login.user,
            "sasl.password": _read(login.password),
        }
    if tls is not None:
        files = {
            "ssl.ca.location": tls.authorities,
            "ssl.certificate.location": tls.certificate,
            "ssl.key.location": tls.key,
        }
        options |= {key: path for key, path in files.items() if path is not None}
    return options


def _nats(source: BrokerSource, settings: Settings, observer: ServiceObserver, counts: Counts) -> Source:
    with needs_extra("nats", "reading from NATS"):
        from spyderresp.service.sources import nats
    login, tls = source.login, source.tls
    options: dict[str, Any] = {"servers": [f"{'tls' if tls else 'nats'}://{server}" for server in source.servers]}
    if login is not None:
        given = {"user": login.user, "password": _read(login.password), "token": _read(login.token)}
        options |= {key: value for key, value in given.items() if value}
        if login.credentials is not None:
            options["user_credentials"] = login.credentials
    if tls is not None:
        try:
            options["tls"] = nats.client_tls_context(tls.authorities, tls.certificate, tls.key)
        except OSError as error:
            raise SecretError(f"`tls`: {(error.strerror or str(error)).lower()}") from None
    (stream,) = source.names
    return nats.Nats(
        f"nats {','.join(source.servers)}/{stream}",
        stream,
        options,
        observer,
        counts,
        consumer=source.group,
        subject=source.subject,
        start=source.start,
        dead_letters=source.dead_letters,
        wait=source.patience,
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
    guard = settings.guard
    return Guard(
        protection=guard.protection,
        limits=guard.limits,
        expiry=guard.expiry,
        kill_switch=guard.kill_switch,
        mode=settings.mode,
        cooldown=guard.cooldown,
        silences=guard.silences,
    )


def is_finite(source: SourceSettings) -> bool:
    """Return whether a source ends by itself."""
    return isinstance(source, StdinSource) or (isinstance(source, FileSource) and not source.follow)


def executors_of(settings: Settings, installed: Installed) -> tuple[Executor, ...]:
    """Return the executors.

    Raises:
        ConfigurationError: one cannot be made with its settings.
    """
    findings = Findings()
    executors: list[Executor] = []
    for item in settings.executors:
        at = item.origin
        try:
            executor = installed.make(item.name, item.settings)
        except SecretError as error:
            findings.add("SR612", f"`{item.name}`: {error}", at.source, at.start, at.end)
        except ExecutorError as error:
            findings.add("SR609", str(error), at.source, at.start, at.end)
        else:
            if any(executor.name == other.name for other in executors):
                duplicate = f"two executors are called `{executor.name}`"
                findings.add("SR609", duplicate, at.source, at.start, at.end, "give one of them another `name`")
            executors.append(executor)
    if findings.errors:
        for executor in executors:
            executor.close()
        raise ConfigurationError(tuple(findings.items))
    return tuple(executors)


def has_real_agent_actions(executors: Iterable[Executor]) -> bool:
    """Return whether any executor acts on processes or pods for real."""
    return any(executor.actions - FLAGS and not getattr(executor, "dry", False) for executor in executors)


def untrusted_policies(settings: Settings) -> Iterator[str]:
    """Yield why the policies cannot be trusted, where this process can kill."""
    if privileged():
        for path in settings.policies:
            yield from untrusted_files(path)


def require_trusted_files(settings: Settings) -> None:
    """Check for a service that can kill: only root and this user can change its files, and senders authenticate.

    Raises:
        ConfigurationError: others could change a file, or an unauthenticated sender could cause a kill.
    """
    if not privileged():
        return
    reasons = list(untrusted_policies(settings))
    files = [settings.path, settings.journal, settings.kept_positions]
    for source in settings.sources:
        if isinstance(source, (FileSource, UnixSource)):
            # An inherited descriptor is trusted like standard input.
            files.append(None if source.path.startswith(_INHERITED) else source.path)
        elif isinstance(source, NetworkSource):
            files += [source.token.file if source.token else None]
            files += [source.tls.certificate, source.tls.key, source.tls.clients] if source.tls else []
        elif isinstance(source, BrokerSource):
            secrets = (source.login.password, source.login.token) if source.login else ()
            files += [*files_of(source), *(secret.file for secret in secrets if secret)]
    reasons += [reason for path in files if path is not None and (reason := untrusted_place(path)) is not None]
    help = "make root or this user its owner, and `chmod go-w` it"  # noqa: A001 - the field's name
    found = [diagnosed("SR613", reason, help) for reason in reasons]
    for source in settings.sources:
        if isinstance(source, NetworkSource) and not source.authenticated:
            message = f"{source.protocol} {source.host}:{source.port}: senders need not authenticate"
            found.append(diagnosed("SR610", message, "set `token`, or `tls` with `clients`"))
        elif isinstance(source, BrokerSource) and not source.authenticated:
            where = f"{source.kind} {source.servers[0]}"
            message = f"{where}: the broker does not authenticate clients, so anybody can send events"
            help = "log in, or set `tls` with a `certificate`; or `plain: true` where something else authenticates"  # noqa: A001
            found.append(diagnosed("SR610", message, help))
    if found:
        raise ConfigurationError(tuple(found))


def require_journal(settings: Settings) -> None:
    """Check that a service that kills has a journal where a broker can deliver an event twice.

    Raises:
        ConfigurationError: there is none.
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


def untrusted_place(path: str) -> str | None:
    """Return why a file, existing or yet to be created, cannot be trusted; None where it can."""
    reason = untrusted_reason(path)
    if reason is not None and "no such file" in reason:
        return untrusted_reason(path.rpartition("/")[0] or ("/" if path.startswith("/") else "."))
    return reason


def diagnosed(code: str, message: str, help: str = "") -> Diagnostic:
    """Return a diagnostic about a thing without a text; the message begins with its name and a colon."""
    findings = Findings()
    findings.about_path(code, message.partition(": ")[2] or message, message.partition(": ")[0], help)
    return findings.items[0]


@dataclass(frozen=True)
class SourceFactory:
    """Makes sources.

    Attributes:
        settings: of the whole service.
        positions: of followed files.
        observer: receives messages about followed files.
        counts: counts rejected deliveries.
        watch: gives the state of the service, for health and metrics.
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
        return [self._source(source) for source in self.settings.sources]

    def monitor(self, address: Monitor) -> Source:
        """Return the listener for health and metrics; it takes no events."""
        return self._http(address.host, address.port, "monitor {}", events=False)

    def _source(self, source: SourceSettings) -> Source:
        if isinstance(source, StdinSource):
            return Stream(None)
        if isinstance(source, FileSource):
            if source.follow:
                return Followed(source.path, self.positions, self.observer, start=source.start)
            return Stream(source.path)
        if isinstance(source, UnixSource):
            return self._listener(f"unix {source.path}", UnixPlace(source.path, source.mode), "unix", uids=source.uids)
        if isinstance(source, BrokerSource):
            return self._broker(source)
        token = None
        if source.token is not None:
            try:
                token = read_secret(source.token, least=LEAST)
            except SecretError as error:
                raise ConfigurationError((diagnosed("SR612", f"{source.protocol} token: {error}"),)) from None
        if source.protocol == "http":
            return self._http(source.host, source.port, "http {}", token=token, source=source)
        place = NetworkPlace(source.host, source.port)
        return self._listener("tcp {}", place, "tcp", token=token, source=source)

    def _broker(self, source: BrokerSource) -> Source:
        where = f"{source.kind} {source.servers[0]}"
        try:
            return broker_of(source, self.settings, self.observer, self.counts)
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
        """Return the pages for health and metrics by path: each returns status, type and body."""
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
            answer = {
                "ready": state.ready and state.journal,
                "accepting": state.ready,
                "journal": state.journal,
                "policies": state.policies,
                "policy_set": state.digest,
                "waiting": state.waiting,
            }
            return (200 if answer["ready"] else 503), _JSON, json.dumps(answer).encode()

        def figures() -> tuple[int, str, bytes]:
            if exposition is None:
                return 501, _JSON, b'{"error":"metrics need the extra `metrics`: pip install \'spyderresp[metrics]\'"}'
            return 200, prometheus.CONTENT_TYPE, exposition()

        return {b"/healthz": alive, b"/readyz": ready, b"/metrics": figures}
