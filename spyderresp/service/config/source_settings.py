"""The sources of events in a configuration: their settings, how each is checked, and who may send."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NamedTuple, cast

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WrapValidator,
)

from spyderresp.policies.diagnostics import listed as words
from spyderresp.policies.diagnostics import quoted, suggestion
from spyderresp.service.config.values import (
    Bool,
    Keys,
    Listed,
    OptionalPath,
    OptionalText,
    Path,
    SettingError,
    boolean,
    choice,
    listed,
    of_kind,
    path,
    raise_all,
    seconds,
    text,
    unknown_keys,
)

#: The kinds of source, and the keys that each takes besides its own.
SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "stdin": (),
    "file": ("follow", "start"),
    "unix": ("uids", "mode"),
    "tcp": ("token", "tls", "plain"),
    "http": ("token", "tls", "plain"),
    "kafka": (
        *("topics", "group", "dead_letters", "start", "session"),
        *("user", "password", "mechanism", "tls", "plain"),
    ),
    "nats": (
        *("stream", "subject", "consumer", "dead_letters", "start", "ack_wait"),
        *("user", "password", "token", "credentials", "tls", "plain"),
    ),
}
#: The default port of each kind of broker.
BROKERS: Final = {"kafka": 9092, "nats": 4222}
MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
#: Appended to the name of a topic, to give the default name of the topic for its dead letters.
DEAD: Final = ".dead-letters"
# The same for NATS, before the name of the stream.
_DEAD_SUBJECT: Final = "dead-letters"
_TOPIC: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._\-]{1,249}", re.ASCII)

# Secrets and certificates.


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: in a file, or in an environment variable. Exactly one is given."""

    file: OptionalPath = None
    env: OptionalText = None


def _one_place(mapping: dict[str, Any]) -> Iterator[SettingError]:
    if ("file" in mapping) == ("env" in mapping):
        yield SettingError("SR606", "`{key}` is one of `file`, `env`")


def plain_sight() -> SettingError:
    """Return the fault of a secret that a configuration contains."""
    hint = "write `{key}: {file: PATH}` or `{key}: {env: NAME}`"
    return SettingError("SR611", "`{key}` is a secret and must not be written here", hint)


def read_secret_place(value: Any, handler: Callable[[Any], Any]) -> Any:
    """Return where a secret is; the configuration itself must not contain it."""
    if isinstance(value, str):
        raise plain_sight()
    return Keys("`{key}`", ("file", "env"), check=_one_place)(value, handler)


SecretPlace = Annotated[Secret | None, WrapValidator(read_secret_place)]


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a TLS listener.

    Attributes:
        certificate: its certificate chain, PEM.
        key: its private key, PEM.
        clients: certificates of authorities, PEM; clients must present a certificate that one of them signed.
            None: clients need no certificate.
    """

    certificate: Path
    key: Path
    clients: OptionalPath = None


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """Files of a TLS connection to a broker.

    Attributes:
        authorities: certificates of authorities, PEM, one of which signed the broker's; None: those of the system.
        certificate: the client's own chain, PEM; None: the client presents none.
        key: its private key, PEM.
    """

    authorities: OptionalPath = None
    certificate: OptionalPath = None
    key: OptionalPath = None


def _certificate_and_key(mapping: dict[str, Any]) -> Iterator[SettingError]:
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if key in mapping and other not in mapping:
            yield SettingError("SR602", f"`tls` has no `{other}`")


def _broker_tls(value: Any, handler: Callable[[Any], Any]) -> Any:
    if isinstance(value, str):
        return BrokerTls() if boolean(value) else None
    return Keys("`tls`", ("authorities", "certificate", "key"), check=_certificate_and_key)(value, handler)


# Sources, one class a kind; both brokers share one.


@dataclass(frozen=True, slots=True)
class StdinSource:
    """Standard input."""


Start = Annotated[Literal["beginning", "end"], PlainValidator(choice(("beginning", "end")))]


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file.

    Attributes:
        path: the file.
        follow: whether to wait for more at its end.
        start: where to begin in a followed file without a stored position.
    """

    path: Annotated[Path, Field(validation_alias="file")]
    follow: Bool = False
    start: Start = "beginning"


def _uid(value: Any) -> int:
    word = text(value)
    if word.isascii() and word.isdigit() and len(word) < 11:
        return int(word)
    raise SettingError("SR603", f"`uids` must be numbers of users, not {quoted(word)}")


def _mode(value: Any) -> int:
    word = text(value)
    if re.fullmatch("[0-7]{1,4}", word) and int(word, 8) <= 0o777:
        return int(word, 8)
    raise SettingError("SR603", f"`mode` must be permissions in octal, such as `0660`, not {quoted(word)}")


@dataclass(frozen=True, slots=True)
class UnixSource:
    """A Unix socket.

    Attributes:
        path: the socket.
        uids: the users who may send; None: the service's own user, and root.
        mode: the permissions of the socket.
    """

    path: Annotated[Path, Field(validation_alias="unix")]
    uids: Annotated[frozenset[Annotated[int, PlainValidator(_uid)]] | None, Listed] = None
    mode: Annotated[int, PlainValidator(_mode)] = 0o600


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """An address to which events are sent.

    Attributes:
        protocol: ``http``, or ``tcp`` for JSON lines.
        host: a name or an address.
        port: 0: any free port.
        token: the token that senders must present; None: none.
        tls: None: without encryption.
        plain: whether a token may cross a network unencrypted.
    """

    protocol: Literal["http", "tcp"]
    host: str
    port: int
    token: SecretPlace = None
    tls: Annotated[
        Tls | None,
        WrapValidator(Keys("`tls`", ("certificate", "key", "clients"), ("certificate", "key"))),
    ] = None
    plain: Bool = False

    @property
    def authenticated(self) -> bool:
        """Whether senders must prove who they are."""
        return self.token is not None or (self.tls is not None and self.tls.clients is not None)


@dataclass(frozen=True, slots=True)
class Login:
    """What the service presents to a broker.

    Attributes:
        user: a name, with ``password``; None: there is none.
        password: the user's.
        mechanism: Kafka's SASL mechanism.
        token: instead of both.
        credentials: a file of NATS credentials, instead of both.
    """

    user: OptionalText = None
    password: SecretPlace = None
    mechanism: Annotated[str, PlainValidator(choice(MECHANISMS))] = "SCRAM-SHA-512"
    token: SecretPlace = None
    credentials: OptionalPath = None


_LOGIN: Final = ("user", "password", "mechanism", "token", "credentials")


def _some_login(login: Login | None) -> Login | None:
    return login if login is not None and (login.user or login.token or login.credentials) else None


def _topic(value: Any) -> str:
    word = text(value)
    if not _TOPIC.fullmatch(word):
        raise SettingError("SR605", f"{quoted(word)} is no name of a topic", "letters, digits, `.`, `_` and `-`")
    return word


def _nats_name(value: Any) -> str:
    word = text(value)
    if not word or not word.isprintable() or set(word) & set(" .*>/\\"):
        raise SettingError("SR605", f"{quoted(word)} is no name of a {{key}}", "no spaces, dots, wildcards or slashes")
    return word


def _subject(value: Any, *, wild: bool) -> str:
    word = text(value)
    parts = word.split(".")
    if wild:
        parts = [part for part in (parts[:-1] if parts[-1] == ">" else parts) if part != "*"]
    if all(part and part.isprintable() and not set(part) & set(" *>") for part in parts):
        return word
    hint = "write `events.dead`, or `events.>` for several" if wild else "write one, such as `events.dead`"
    raise SettingError("SR605", f"{quoted(word)} is no subject", hint)


def _by_kind(kafka: Callable[[Any], Any], nats: Callable[[Any], Any]) -> Callable[[Any, ValidationInfo], Any]:
    """Return the reader of a setting that depends on the kind of the broker."""
    return lambda value, info: (kafka if info.data["kind"] == "kafka" else nats)(value)


@dataclass(frozen=True, slots=True)
class BrokerSource:
    """Events from a broker.

    Attributes:
        kind: of broker.
        servers: each ``HOST:PORT``.
        names: Kafka: the topics; NATS: the stream, alone.
        dead_letters: the topic or subject for messages that cannot be decided.
        group: Kafka: the consumer group; NATS: the durable consumer.
        start: where a new group begins.
        patience: Kafka: after how many seconds without a sign of life the group gives up a member; NATS: after how many
            seconds without an acknowledgement the server delivers again; an existing consumer keeps its own.
        subject: NATS: which subjects of the stream; None: all.
        login: None: nothing is presented.
        tls: None: without encryption.
        plain: whether something else encrypts the connection and authenticates both ends.
    """

    kind: Literal["kafka", "nats"]
    servers: tuple[str, ...]
    names: Annotated[
        tuple[Annotated[str, PlainValidator(_by_kind(_topic, _nats_name))], ...],
        BeforeValidator(_by_kind(listed, lambda value: [text(value)])),
        Field(validation_alias=AliasChoices("topics", "stream")),
    ]
    dead_letters: Annotated[str, PlainValidator(_by_kind(_topic, lambda value: _subject(value, wild=False)))]
    group: Annotated[
        str,
        PlainValidator(_by_kind(text, _nats_name)),
        Field(validation_alias=AliasChoices("group", "consumer")),
    ] = "spyderresp"
    start: Start = "beginning"
    patience: Annotated[
        float, PlainValidator(seconds(1.0)), Field(validation_alias=AliasChoices("session", "ack_wait"))
    ] = 45.0
    subject: Annotated[str | None, PlainValidator(lambda value: _subject(value, wild=True))] = None
    login: Annotated[Login | None, AfterValidator(_some_login)] = None
    tls: Annotated[BrokerTls | None, WrapValidator(_broker_tls)] = None
    plain: Bool = False

    @property
    def authenticated(self) -> bool:
        """Whether the service proves to the broker who it is, or something else does."""
        return self.login is not None or (self.tls is not None and self.tls.certificate is not None) or self.plain


SourceSettings = StdinSource | FileSource | UnixSource | NetworkSource | BrokerSource

# Addresses.

LOOPBACK: Final = "127.0.0.1"
_ADDRESS: Final = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9.\-_]*):)?(?P<port>\d{1,5})", re.ASCII)


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(word: str) -> Address | None:
    """Return the address in a text: ``8080``, ``HOST:8080``, ``[::1]:8080``; None where there is none.

    Without a host it is this machine's loopback; every address of the machine is ``0.0.0.0`` or ``[::]``.
    """
    match = _ADDRESS.fullmatch(word)
    if match is None or int(match["port"]) > 65535:
        return None
    return Address((match["host"] or LOOPBACK).strip("[]"), int(match["port"]))


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host; of the names only ``localhost`` counts as such."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_address(value: Any) -> Address:
    """Return an address to listen on."""
    word = text(value)
    address = address_of(word)
    if address is None:
        raise SettingError("SR607", f"{quoted(word)} is no address", "write `8080`, `127.0.0.1:8080` or `[::1]:8080`")
    return address


# From what is written to a source.


def read_source(value: Any, info: ValidationInfo) -> SourceSettings:
    """Return one source of the list ``events``."""
    if isinstance(value, str):
        return StdinSource() if value == "-" else FileSource(path(value, info))
    kind = _kind_of(of_kind(value, dict, "mapping", "a source"))
    source, prepare = _KINDS[kind]
    valid = (kind, *SOURCES[kind])
    fields = {key: item for key, item in value.items() if key in valid}
    faults = list(unknown_keys(value, f"a source of kind `{kind}`", valid))
    faults += prepare(kind, fields)
    error, result = None, None
    try:
        result = source.validate_python(fields, context=info.context)
    except ValidationError as raised:
        error = raised
    raise_all(faults, error)
    return cast("SourceSettings", result)


def _kind_of(mapping: dict[str, Any]) -> str:
    kinds = [key for key in mapping if key in SOURCES]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        message = f"a source is one of {words(kinds)}, not several"
        raise SettingError("SR606", message, "make two of it", loc=(kinds[1],), at_key=True)
    if not mapping:
        raise SettingError("SR606", "a source is empty", f"it begins with one of {words(SOURCES)}")
    first = next(iter(mapping))
    message = f"unknown kind of source: {quoted(first)}"
    raise SettingError("SR606", message, suggestion(first, SOURCES), loc=(first,), at_key=True)


def _plain_kind(kind: str, fields: dict[str, Any]) -> Iterator[SettingError]:
    if kind == "file" and "start" in fields:
        fields.setdefault("follow", "true")
    yield from ()


def _network(kind: str, fields: dict[str, Any]) -> Iterator[SettingError]:
    address = Address(LOOPBACK, 0)
    try:
        address = read_address(fields[kind])
    except SettingError as fault:
        fault.loc = (kind,)
        yield fault
    tls = fields.get("tls")
    authenticated = "token" in fields or (isinstance(tls, dict) and "clients" in tls)
    encrypted = tls is not None or _is_plain(fields)
    exposure = exposure_error(address.host, authenticated=authenticated, encrypted=encrypted)
    # Faults in `tls` are reported; whether its clients authenticate is known once they are mended.
    if exposure is not None and (tls is None or (isinstance(tls, dict) and {"certificate", "key"} <= tls.keys())):
        exposure.loc = (kind,)
        yield exposure
    fields |= {"protocol": kind, "host": address.host, "port": address.port}


def exposure_error(host: str, *, authenticated: bool, encrypted: bool) -> SettingError | None:
    """Return what is wrong about who can reach a listener; None where nothing is."""
    if is_loopback(host) or (authenticated and encrypted):
        return None
    if not authenticated:
        message = f"`{host}` accepts connections from other hosts without authentication"
        return SettingError("SR610", message, "set `token`, or `tls` with `clients`; or listen on `127.0.0.1`")
    message = f"`{host}` accepts connections from other hosts, and the token would cross the network unencrypted"
    return SettingError("SR610", message, "set `tls`; or `plain: true` where something else encrypts")


def _is_plain(fields: dict[str, Any]) -> bool:
    return str(fields.get("plain")).lower() in ("true", "yes", "on")


def _broker(kind: str, fields: dict[str, Any]) -> Iterator[SettingError]:
    names = "topics" if kind == "kafka" else "stream"
    fields["kind"] = kind
    servers: list[str] = []
    fields["servers"] = servers
    yield from _servers(kind, fields, servers)
    if names not in fields:
        yield SettingError("SR602", f"a source has no `{names}`")
    if kind == "nats":
        fields.setdefault("ack_wait", "30")
    first = fields.get(names)
    first = first[0] if isinstance(first, list) and first else first
    if "dead_letters" in fields:
        if kind == "kafka" and fields["dead_letters"] in _items(fields.get(names)):
            message = f"dead letters in {quoted(fields['dead_letters'])} would be read again"
            yield SettingError("SR605", message, "name another topic", loc=("dead_letters",))
    elif isinstance(first, str):
        default = f"{first}{DEAD}" if kind == "kafka" else f"{_DEAD_SUBJECT}.{first}"
        with contextlib.suppress(SettingError):
            # A wrong name is reported as such, and not for the default that is made of it.
            (_topic if kind == "kafka" else _nats_name)(first)
            fields["dead_letters"] = default
    yield from _login(kind, fields)
    tls = fields.get("tls")
    encrypted = isinstance(tls, dict) or str(tls).lower() in ("true", "yes", "on")
    outside = next((server for server in servers if not is_loopback(server.rpartition(":")[0].strip("[]"))), None)
    if outside is not None and names in fields and not encrypted and not _is_plain(fields):
        message = f"events from {quoted(outside)} would cross the network unencrypted, where they can be forged"
        yield SettingError("SR610", message, "set `tls`; or `plain: true` where something else encrypts", loc=(kind,))


def _items(value: Any) -> list[Any]:
    """Return the items of a list, or a single text as one; of anything else nothing."""
    return [value] if isinstance(value, str) else value if isinstance(value, list) else []


def _servers(kind: str, fields: dict[str, Any], servers: list[str]) -> Iterator[SettingError]:
    """Add each server with its port to ``servers``; yield what is wrong with the others."""
    port = BROKERS[kind]
    try:
        items = listed(fields[kind])
    except SettingError as fault:
        fault.loc = (kind,)
        yield fault
        return
    for index, item in enumerate(items):
        try:
            names = text(item).split(",")
        except SettingError as fault:
            fault.loc = (kind, index)
            yield fault
            continue
        for name in map(str.strip, names):
            address = address_of(name) or (None if ":" in name else address_of(f"{name}:{port}"))
            if address is not None:
                servers.append(str(address))
                continue
            hint = f"write `broker.example.net` or `broker.example.net:{port}`"
            yield SettingError("SR607", f"{quoted(name)} is no address of a server", hint, loc=(kind, index))


def _login(kind: str, fields: dict[str, Any]) -> Iterator[SettingError]:
    """Gather what is presented to the broker: a user with a password, a token or credentials; or nothing."""
    valid = [key for key in _LOGIN if key in SOURCES[kind] and key in fields]
    if valid:
        fields["login"] = {key: fields[key] for key in valid}
    chosen = [key for key in ("user", "token", "credentials") if key in valid]
    if len(chosen) > 1:
        message = f"use one of {words(chosen)} to log in, not several"
        yield SettingError("SR606", message, loc=(chosen[1],), at_key=True)
    for key, other in (("user", "password"), ("password", "user")):
        if key in valid and other not in valid:
            yield SettingError("SR602", f"`{key}` needs a `{other}` beside it", loc=(key,))


_KINDS: Final[dict[str, tuple[TypeAdapter[Any], Callable[[str, dict[str, Any]], Iterator[SettingError]]]]] = {
    "stdin": (TypeAdapter(StdinSource), _plain_kind),
    "file": (TypeAdapter(FileSource), _plain_kind),
    "unix": (TypeAdapter(UnixSource), _plain_kind),
    **dict.fromkeys(("tcp", "http"), (TypeAdapter(NetworkSource), _network)),
    **dict.fromkeys(BROKERS, (TypeAdapter(BrokerSource), _broker)),
}
