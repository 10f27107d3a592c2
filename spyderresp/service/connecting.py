"""Settings of brokers into sources: what each client library is told."""

from __future__ import annotations

from typing import Any

from spyderresp.extras import needed
from spyderresp.service.counts import Counts
from spyderresp.service.secrets import SecretError, read_secret
from spyderresp.service.settings import BrokerSource, Secret, Settings
from spyderresp.service.sources.base import Source
from spyderresp.service.telling import Teller


def broker_of(said: BrokerSource, settings: Settings, teller: Teller, counts: Counts) -> Source:
    """Return a source out of a broker.

    Raises:
        ImportError: its extra is not installed.
        SecretError: a secret or a certificate cannot be read.
    """
    for path in files_of(said):
        _look_at(path)
    return (_kafka if said.kind == "kafka" else _nats)(said, settings, teller, counts)


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


def _kafka(said: BrokerSource, settings: Settings, teller: Teller, counts: Counts) -> Source:
    module = needed("spyderresp.service.sources.kafka", "kafka", "reading from Kafka")
    made: Source = module.Kafka(
        f"kafka {','.join(said.servers)}/{','.join(said.names)}",
        said.names,
        librdkafka(said),
        teller,
        counts,
        group=said.group,
        start="earliest" if said.start == "beginning" else "latest",
        dead_letters=said.dead_letters,
        session=said.patience,
        max_size=settings.max_body,
        max_events=settings.max_events,
        max_bytes=settings.max_bytes,
    )
    return made


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


def _nats(said: BrokerSource, settings: Settings, teller: Teller, counts: Counts) -> Source:
    module = needed("spyderresp.service.sources.nats", "nats", "reading from NATS")
    link = needed("spyderresp.service.sources.nats_link", "nats", "reading from NATS")
    login, tls = said.login, said.tls
    told: dict[str, Any] = {"servers": [f"{'tls' if tls else 'nats'}://{server}" for server in said.servers]}
    if login is not None:
        given = {"user": login.user, "password": _read(login.password), "token": _read(login.token)}
        told |= {key: value for key, value in given.items() if value}
        if login.credentials is not None:
            told["user_credentials"] = login.credentials
    if tls is not None:
        try:
            told["tls"] = link.context_of(tls.authorities, tls.certificate, tls.key)
        except OSError as error:
            raise SecretError(f"`tls`: {(error.strerror or str(error)).lower()}") from None
    (stream,) = said.names
    made: Source = module.Nats(
        f"nats {','.join(said.servers)}/{stream}",
        stream,
        told,
        teller,
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
    return made


def _read(secret: Secret | None) -> str:
    return "" if secret is None else read_secret(secret).decode("utf-8", "surrogateescape")
