"""Makes the parts of a service from its settings: sources, executors and the guard. Starts nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from spyderresp.errors import needs_extra
from spyderresp.execution.guards.guard import Guard
from spyderresp.execution.interfaces import Executor
from spyderresp.executors.discovery import ExecutorError
from spyderresp.policies.diagnostics import Findings
from spyderresp.policies.vocabulary import FLAGS
from spyderresp.service.config.executor_settings import make_executor
from spyderresp.service.config.load import ConfigurationError, diagnosed
from spyderresp.service.config.secrets import LEAST, SecretError, read_secret
from spyderresp.service.config.settings import Settings
from spyderresp.service.config.source_settings import (
    Address,
    FileSource,
    KafkaSource,
    NatsSource,
    SourceSettings,
    StdinSource,
    Tls,
    UnixSource,
)
from spyderresp.service.metrics import Counts, ServiceObserver, StateReader
from spyderresp.service.sources.base import Source
from spyderresp.service.sources.file import Followed, Positions, Stream
from spyderresp.service.sources.sockets import LinesConnection, Listener, NetworkAddress, UnixSocket


def guard_of(settings: Settings) -> Guard:
    """Return the guard."""
    guard = settings.guard
    return Guard(
        protection=guard.protect,
        limits=guard.limits,
        expiry=guard.expiry,
        kill_switch=guard.kill_switch,
        mode=settings.mode,
        cooldown=guard.cooldown,
        silences=guard.silences,
    )


def executors_of(settings: Settings) -> tuple[Executor, ...]:
    """Return the executors.

    Raises:
        ConfigurationError: an executor cannot be made with its settings.
    """
    findings = Findings()
    executors: list[Executor] = []
    for item in settings.executors:
        at = item.origin
        try:
            executor = make_executor(item.name, item.settings)
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


def is_finite(source: SourceSettings) -> bool:
    """Return whether a source ends by itself."""
    return isinstance(source, StdinSource) or (isinstance(source, FileSource) and not source.follow)


@contextlib.contextmanager
def reported(where: str) -> Iterator[None]:
    """Report a missing extra, or a secret that cannot be read, as a fault of ``where``.

    Raises:
        ConfigurationError: the block raised ImportError or SecretError.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigurationError((diagnosed("SR608", where, str(error)),)) from None
    except SecretError as error:
        raise ConfigurationError((diagnosed("SR612", where, str(error)),)) from None


@dataclass(frozen=True)
class SourceFactory:
    """Makes sources.

    Attributes:
        settings: the settings of the whole service.
        positions: the positions of followed files.
        observer: receives messages about followed files and brokers.
        counts: counts rejected deliveries.
        watch: gives the state of the service, for health and metrics.
    """

    settings: Settings
    positions: Positions
    observer: ServiceObserver
    counts: Counts
    watch: StateReader

    def sources(self) -> Sequence[Source]:
        """Return the sources.

        Raises:
            ConfigurationError: an extra is missing, or a secret or a certificate cannot be read.
        """
        return [self._source(source) for source in self.settings.events]

    def monitor(self, address: Address) -> Source:
        """Return the listener for health and metrics; it accepts no events."""
        return self._http("monitor", address, events=False)

    def _source(self, source: SourceSettings) -> Source:
        if isinstance(source, StdinSource):
            return Stream(None)
        if isinstance(source, FileSource):
            if source.follow:
                return Followed(source.path, self.positions, self.observer, start=source.start)
            return Stream(source.path)
        if isinstance(source, (KafkaSource, NatsSource)):
            with reported(f"{source.kind} {source.servers[0]}"):
                return self._broker(source)
        limits = self.settings.limits
        lines = partial(LinesConnection, self.counts, source.kind, limits=limits)
        if isinstance(source, UnixSource):
            socket = UnixSocket(source.path, source.mode)
            return Listener(f"unix {source.path}", socket, partial(lines, uids=source.uids), self.counts, limits)
        token = None
        if source.token is not None:
            with reported(f"{source.kind} token"):
                token = read_secret(source.token, least=LEAST)
        if source.kind == "http":
            return self._http("http", source.address, token=token, tls=source.tls)
        place = NetworkAddress(source.address)
        return Listener("tcp {}", place, partial(lines, token=token), self.counts, limits, source.tls)

    def _broker(self, source: KafkaSource | NatsSource) -> Source:
        files = [source.tls.authorities, source.tls.certificate, source.tls.key] if source.tls else []
        for path in filter(None, [*files, getattr(source, "credentials", None)]):
            # The libraries would report only that something failed.
            try:
                with open(path, "rb"):
                    pass
            except (OSError, ValueError) as error:  # noqa: PERF203 - few files
                raise SecretError(f"{path}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None
        if isinstance(source, KafkaSource):
            with needs_extra("kafka", "reading from Kafka"):
                from spyderresp.service.sources.kafka import Kafka
            return Kafka(source, self.observer, self.counts, self.settings.limits)
        with needs_extra("nats", "reading from NATS"):
            from spyderresp.service.sources.nats import Nats
        return Nats(source, self.observer, self.counts, self.settings.limits)

    def _http(
        self, name: str, address: Address, *, events: bool = True, token: bytes | None = None, tls: Tls | None = None
    ) -> Listener:
        with reported(f"{name} {address.port}"), needs_extra("http", "listening for HTTP"):
            from spyderresp.service.sources import http
        limits = self.settings.limits
        pages = http.health_pages(self.counts, self.watch)
        site = http.HttpSettings(self.counts, pages, events, token, limits.body, limits.patience)
        connect = partial(http.HttpConnection, site)
        return Listener(f"{name} {{}}", NetworkAddress(address), connect, self.counts, limits, tls)
