"""The sources of events, a class for each kind. Its fields are the keys of the source; docs/RUN.md explains them."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple

from pydantic import BeforeValidator, Field, PlainValidator, TypeAdapter, ValidationInfo

from spyderresp.policies.diagnostics import listed as words
from spyderresp.policies.diagnostics import quoted, suggestion
from spyderresp.service.config.values import (
    Bool,
    Keys,
    Listed,
    Path,
    SettingError,
    Text,
    at_least,
    boolean,
    checked,
    of_kind,
    one_of,
    path,
    raise_all,
    text,
)

# Secrets and certificates.


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: in a file or in an environment variable. Exactly one of them is given."""

    file: Path | None = None
    env: Text | None = None

    @staticmethod
    def faults(mapping: dict[str, Any]) -> Iterator[SettingError]:
        if ("file" in mapping) == ("env" in mapping):
            yield SettingError("SR606", "`{key}` is one of `file`, `env`")


def not_written(value: Any) -> Any:
    """Return where a secret is; a configuration must not contain the secret itself."""
    if isinstance(value, str):
        hint = "write `{key}: {file: PATH}` or `{key}: {env: NAME}`"
        raise SettingError("SR611", "`{key}` is a secret and must not be written here", hint)
    return value


_Secret = Annotated[Secret, Keys(Secret, "`{key}`"), BeforeValidator(not_written)]


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of a listener."""

    certificate: Path  # a certificate chain
    key: Path  # the private key of the certificate
    clients: Path | None = None  # authorities of client certificates; None: clients need no certificate


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """PEM files of a connection to a broker."""

    authorities: Path | None = None  # authorities of the broker's certificate; None: those of the system
    certificate: Path | None = None  # the certificate chain of the service; None: it presents no certificate
    key: Path | None = None  # the private key of the certificate

    @staticmethod
    def faults(mapping: dict[str, Any]) -> Iterator[SettingError]:
        for key, other in (("certificate", "key"), ("key", "certificate")):
            if key in mapping and other not in mapping:
                yield SettingError("SR602", f"`tls` has no `{other}`")


def _yes_or_no(value: Any) -> Any:
    return value if not isinstance(value, str) else {} if boolean(value) else None


_BrokerTls = Annotated[Annotated[BrokerTls, Keys(BrokerTls, "`tls`")] | None, BeforeValidator(_yes_or_no)]

# Addresses.

_LOOPBACK: Final = "127.0.0.1"
_ADDRESS: Final = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9.\-_]*):)?(?P<port>\d{1,5})", re.ASCII)


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the host. Of all names only ``localhost`` counts as such."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _address_in(word: str) -> Address | None:
    """Return the address in a text, such as ``8080``, ``HOST:8080`` or ``[::1]:8080``; None: the text is not one.

    Without a host, the address is on the loopback interface. ``0.0.0.0`` and ``[::]`` stand for all interfaces.
    """
    match = _ADDRESS.fullmatch(word)
    if match is None or int(match["port"]) > 65535:
        return None
    return Address((match["host"] or _LOOPBACK).strip("[]"), int(match["port"]))


listen_address = checked(
    _address_in,
    "{text} is no address",
    "write `8080`, `127.0.0.1:8080` or `[::1]:8080`",
    code="SR607",
    make=_address_in,
)

# Sources on this machine, and listeners.


@dataclass(frozen=True, slots=True)
class StdinSource:
    """Standard input."""

    kind = "stdin"
    value: Annotated[None, PlainValidator(lambda _: None), Field(validation_alias="stdin")] = None


_Start = Annotated[Literal["beginning", "end"], one_of("beginning", "end")]


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file."""

    kind = "file"
    path: Annotated[Path, Field(validation_alias="file")]
    follow: Bool = False  # whether to wait for more at the end of the file
    start: _Start = "beginning"  # where to begin in a followed file without a stored position


_uid = checked(
    re.compile("[0-9]{1,10}").fullmatch, "`uids` must be numbers of users, not {text}", code="SR603", make=int
)
_mode = checked(
    re.compile("0?[0-7]{1,3}").fullmatch,
    "`mode` must be permissions in octal, such as `0660`, not {text}",
    code="SR603",
    make=lambda word: int(word, 8),
)


@dataclass(frozen=True, slots=True)
class UnixSource:
    """A Unix socket to listen on."""

    kind = "unix"
    path: Annotated[Path, Field(validation_alias="unix")]
    # The users that may send; None: root and the user of this service.
    uids: Annotated[frozenset[Annotated[int, _uid]] | None, Listed] = None
    mode: Annotated[int, _mode] = 0o600


def _is_yes(value: Any) -> bool:
    return str(value).lower() in ("true", "yes", "on")


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """An address to listen on."""

    kind: ClassVar[str]
    address: Address
    token: _Secret | None = None  # the token that senders must present
    tls: Annotated[Tls, Keys(Tls, "`tls`")] | None = None
    plain: Bool = False  # whether a token may cross a network unencrypted

    @classmethod
    def faults(cls, mapping: dict[str, Any]) -> Iterator[SettingError]:
        value, tls = mapping[cls.kind], mapping.get("tls")
        address = _address_in(value) if isinstance(value, str) else None
        # Whether clients authenticate is known only when `tls` has no fault.
        tls_is_complete = tls is None or (isinstance(tls, dict) and {"certificate", "key"} <= tls.keys())
        if address is None or address.is_loopback or not tls_is_complete:
            return
        exposure = f"`{address.host}` accepts connections from other hosts"
        if "token" not in mapping and not (tls and "clients" in tls):
            hint = "set `token`, or `tls` with `clients`; or listen on `127.0.0.1`"
            yield SettingError("SR610", f"{exposure} without authentication", hint, (cls.kind,))
        elif tls is None and not _is_yes(mapping.get("plain")):
            message = f"{exposure}, and the token would cross the network unencrypted"
            hint = "set `tls`; or `plain: true` where something else encrypts"
            yield SettingError("SR610", message, hint, (cls.kind,))


@dataclass(frozen=True, slots=True)
class TcpSource(NetworkSource):
    """An address that receives JSON lines."""

    kind = "tcp"
    address: Annotated[Address, listen_address, Field(validation_alias="tcp")]


@dataclass(frozen=True, slots=True)
class HttpSource(NetworkSource):
    """An address that receives events over HTTP."""

    kind = "http"
    address: Annotated[Address, listen_address, Field(validation_alias="http")]


# Brokers.

#: The default port of each kind of broker.
BROKERS: Final = {"kafka": 9092, "nats": 4222}


def _server(name: str, port: int) -> Address | None:
    name = name.strip()
    return _address_in(name) or (None if ":" in name else _address_in(f"{name}:{port}"))


def _servers(kind: str) -> PlainValidator:
    """Return the type of the addresses of a broker: a list of texts, each with one address or more."""
    port = BROKERS[kind]

    def read(value: Any) -> list[str]:
        servers = {name.strip(): _server(name, port) for name in text(value).split(",")}
        hint = f"write `broker.example.net` or `broker.example.net:{port}`"
        wrong = [quoted(name) for name, address in servers.items() if address is None]
        raise_all(SettingError("SR607", f"{name} is no address of a server", hint) for name in wrong)
        return list(map(str, servers.values()))

    lists = TypeAdapter(Annotated[list[Annotated[list[str], PlainValidator(read)]], Listed])
    return PlainValidator(lambda value: tuple(itertools.chain(*lists.validate_python(value))))


def _is_subject(word: str, *, pattern: bool = False) -> bool:
    parts = word.split(".")
    if pattern:
        parts = [part for part in (parts[:-1] if parts[-1] == ">" else parts) if part != "*"]
    return all(part and part.isprintable() and not set(part) & set(" *>") for part in parts)


_TOPIC: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._\-]{1,249}", re.ASCII)
_Topic = Annotated[str, checked(_TOPIC.fullmatch, "{text} is no name of a topic", "letters, digits, `.`, `_` and `-`")]
_Subject = Annotated[str, checked(_is_subject, "{text} is no subject", "write one, such as `events.dead`")]
_pattern = checked(
    lambda word: _is_subject(word, pattern=True),
    "{text} is no subject",
    "write `events.dead`, or `events.>` for several",
)
_name = checked(
    lambda word: word and word.isprintable() and not set(word) & set(" .*>/\\"),
    "{text} is no name of a {key}",
    "no spaces, dots, wildcards or slashes",
)


def _broker_faults(mapping: dict[str, Any], kind: str, names: str, logins: tuple[str, ...]) -> Iterator[SettingError]:
    """Yield a fault for a second login, for a user or a password alone, and if events would cross a network in clear.

    Args:
        mapping: the source as it was written.
        kind: the kind of broker.
        names: the key of its topics or its stream. Without it, nothing is said about encryption.
        logins: the keys of which at most one may be given.
    """
    given = [key for key in logins if key in mapping]
    if len(given) > 1:
        yield SettingError("SR606", f"use one of {words(given)} to log in, not several", loc=(given[1],), at_key=True)
    for key, other in (("user", "password"), ("password", "user")):
        if key in mapping and other not in mapping:
            yield SettingError("SR602", f"`{key}` needs a `{other}` beside it", loc=(key,))
    encrypted = isinstance(mapping.get("tls"), dict) or _is_yes(mapping.get("tls"))
    if names not in mapping or encrypted or _is_yes(mapping.get("plain")):
        return
    for name in ",".join(item for item in _items(mapping[kind]) if isinstance(item, str)).split(","):
        server = _server(name, BROKERS[kind])
        if server is not None and not server.is_loopback:
            message = f"events from `{server}` would cross the network unencrypted, where they can be forged"
            hint = "set `tls`; or `plain: true` where something else encrypts"
            yield SettingError("SR610", message, hint, (kind,))
            return


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True, slots=True)
class KafkaSource:
    """Topics of Kafka."""

    kind = "kafka"
    servers: Annotated[tuple[str, ...], _servers("kafka"), Field(validation_alias="kafka")]  # each HOST:PORT
    topics: Annotated[tuple[_Topic, ...], Listed]
    group: Text = "spyderresp"  # the consumer group
    dead_letters: _Topic | None = None  # see `dead_letter_name`
    start: _Start = "beginning"  # where a new group begins
    session: Annotated[float, at_least(1)] = 45.0  # seconds after which the group drops a silent member
    user: Text | None = None
    password: _Secret | None = None
    mechanism: Annotated[str, one_of("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")] = "SCRAM-SHA-512"
    tls: _BrokerTls = None
    plain: Bool = False  # whether something else encrypts the connection and authenticates both ends

    @property
    def dead_letter_name(self) -> str:
        """The topic for messages that cannot be decided."""
        return self.dead_letters or f"{self.topics[0]}.dead-letters"

    @property
    def logs_in(self) -> bool:
        """Whether the service logs in to the broker."""
        return bool(self.user)

    @staticmethod
    def faults(mapping: dict[str, Any]) -> Iterator[SettingError]:
        dead_letters = mapping.get("dead_letters")
        if mapping.get("topics") == []:
            yield SettingError("SR602", "a source has no `topics`")
        if dead_letters in _items(mapping.get("topics")) and isinstance(dead_letters, str):
            message = f"dead letters in {quoted(dead_letters)} would be read again"
            yield SettingError("SR605", message, "name another topic", ("dead_letters",))
        yield from _broker_faults(mapping, "kafka", "topics", ("user",))


@dataclass(frozen=True, slots=True)
class NatsSource:
    """A JetStream stream."""

    kind = "nats"
    servers: Annotated[tuple[str, ...], _servers("nats"), Field(validation_alias="nats")]  # each HOST:PORT
    stream: Annotated[str, _name]
    subject: Annotated[str, _pattern] | None = None  # the subjects to read; None: all
    consumer: Annotated[str, _name] = "spyderresp"  # the durable consumer
    dead_letters: _Subject | None = None  # see `dead_letter_name`
    start: _Start = "beginning"  # where a new consumer begins
    # Seconds until a message that is not acknowledged is delivered again; an existing consumer keeps its own.
    ack_wait: Annotated[float, at_least(1)] = 30.0
    user: Text | None = None
    password: _Secret | None = None
    token: _Secret | None = None
    credentials: Path | None = None  # a file of NATS credentials
    tls: _BrokerTls = None
    plain: Bool = False  # whether something else encrypts the connection and authenticates both ends

    @property
    def dead_letter_name(self) -> str:
        """The subject for messages that cannot be decided."""
        return self.dead_letters or f"dead-letters.{self.stream}"

    @property
    def logs_in(self) -> bool:
        """Whether the service logs in to the broker."""
        return bool(self.user or self.token or self.credentials)

    @staticmethod
    def faults(mapping: dict[str, Any]) -> Iterator[SettingError]:
        yield from _broker_faults(mapping, "nats", "stream", ("user", "token", "credentials"))


BrokerSource = KafkaSource | NatsSource
SourceSettings = StdinSource | FileSource | UnixSource | TcpSource | HttpSource | BrokerSource
#: The kinds of source.
SOURCES: Final[dict[str, type[SourceSettings]]] = {
    model.kind: model for model in (StdinSource, FileSource, UnixSource, TcpSource, HttpSource, KafkaSource, NatsSource)
}
_READERS: Final = {kind: Keys(model, "a source").adapter() for kind, model in SOURCES.items()}


def read_source(value: Any, info: ValidationInfo) -> SourceSettings:
    """Read one source of the list ``events``."""
    if isinstance(value, str):
        return StdinSource() if value == "-" else FileSource(path(value, info))
    mapping = of_kind(value, dict, "mapping", "a source")
    kind = _kind_of(mapping)
    if kind == "file" and "start" in mapping:
        # Only a followed file has a start.
        mapping = {"follow": "true", **mapping}
    elif kind == "stdin":
        # It needs no value.
        mapping = {**mapping, "stdin": ""}
    source: SourceSettings = _READERS[kind].validate_python(mapping, context=info.context)
    return source


def _kind_of(mapping: dict[str, Any]) -> str:
    kinds = [key for key in mapping if key in SOURCES]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        message = f"a source is one of {words(kinds)}, not several"
        raise SettingError("SR606", message, "make two of it", (kinds[1],), at_key=True)
    if not mapping:
        raise SettingError("SR606", "a source is empty", f"it begins with one of {words(SOURCES)}")
    first = next(iter(mapping))
    message = f"unknown kind of source: {quoted(first)}"
    raise SettingError("SR606", message, suggestion(first, SOURCES), (first,), at_key=True)
