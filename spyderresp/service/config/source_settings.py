"""The brokers among the ``events`` of a configuration."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, cast

from spyderresp.policies.diagnostics import listed, quoted
from spyderresp.policies.document_reader import Keys, Node, Reader
from spyderresp.service.config.secrets import read_place
from spyderresp.service.config.settings import (
    BrokerSource,
    BrokerTls,
    FileSource,
    Login,
    NetworkSource,
    SourceSettings,
    StdinSource,
    Tls,
    UnixSource,
)

# Addresses that are listened on.

LOOPBACK: Final = "127.0.0.1"
_ADDRESS: Final = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9.\-_]*):)?(?P<port>\d{1,5})", re.ASCII)


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(text: str) -> Address | None:
    """Return the address that a text says: ``8080``, ``HOST:8080``, ``[::1]:8080``; None where it says none.

    Without a host it is this machine's loopback; every address of the machine is ``0.0.0.0`` or ``[::]``.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        return None
    return Address((match["host"] or LOOPBACK).strip("[]"), int(match["port"]))


def is_loopback(host: str) -> bool:
    """Tell whether nobody but this machine can reach a host; a name other than ``localhost`` is believed to be open."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


#: The keys that each kind of broker takes beside its own.
BROKERS: Final[dict[str, tuple[str, ...]]] = {
    "kafka": (
        "topics",
        "group",
        "dead_letters",
        "start",
        "session",
        "user",
        "password",
        "mechanism",
        "tls",
        "plain",
    ),
    "nats": (
        "stream",
        "subject",
        "consumer",
        "dead_letters",
        "start",
        "ack_wait",
        "user",
        "password",
        "token",
        "credentials",
        "tls",
        "plain",
    ),
}
MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._\-]{1,249}", re.ASCII)
#: Appended to the name of a topic, to give that of its dead letters where none is said.
DEAD: Final = ".dead-letters"
# The same for NATS, before the name of the stream.
_DEAD_SUBJECT: Final = "dead-letters"
_ACK_WAIT: Final = 30.0
_UNSET: Final = BrokerSource("kafka", (), (), "")


def read_kafka(keys: Keys, reader: Reader) -> BrokerSource | None:
    """Return a source out of Kafka topics."""
    servers = _servers(cast("Node", keys.get("kafka")), "kafka", 9092, reader)
    topics = reader.items(reader.needed(keys, "topics", lambda node, _: node), "topics")
    names = tuple(name for node in topics if (name := _topic(node, "topics", reader)) is not None)
    dead = reader.given(keys, "dead_letters", lambda node, what: _topic(node, what, reader))
    if dead is None and names:
        dead = f"{names[0]}{DEAD}"
    elif dead in names:
        node = cast("Node", keys.get("dead_letters"))
        reader.wrong("SR605", node, f"dead letters in {quoted(str(dead))} would be read again", "name another topic")
    login = _login(keys, reader)
    mechanism = reader.choice(keys, "mechanism", MECHANISMS)
    if login is not None and mechanism is not None:
        login = Login(login.user, login.password, mechanism)
    return _checked(
        BrokerSource(
            "kafka",
            servers,
            names,
            dead or "",
            reader.given(keys, "group", reader.text) or _UNSET.group,
            _start(keys, reader),
            reader.seconds(keys, "session", _UNSET.patience, least=1.0),
            login=login,
            tls=_tls(keys, reader),
            plain=reader.boolean(keys, "plain", False),
        ),
        keys,
        reader,
    )


def read_nats(keys: Keys, reader: Reader) -> BrokerSource | None:
    """Return a source out of a JetStream stream."""
    servers = _servers(cast("Node", keys.get("nats")), "nats", 4222, reader)
    stream = reader.needed(keys, "stream", lambda node, what: _name(node, what, reader))
    dead = reader.given(keys, "dead_letters", lambda node, what: _subject(node, what, reader, wild=False))
    return _checked(
        BrokerSource(
            "nats",
            servers,
            () if stream is None else (stream,),
            dead or f"{_DEAD_SUBJECT}.{stream}",
            reader.given(keys, "consumer", lambda node, what: _name(node, what, reader)) or _UNSET.group,
            _start(keys, reader),
            reader.seconds(keys, "ack_wait", _ACK_WAIT, least=1.0),
            reader.given(keys, "subject", lambda node, what: _subject(node, what, reader, wild=True)),
            _nats_login(keys, reader),
            _tls(keys, reader),
            reader.boolean(keys, "plain", False),
        ),
        keys,
        reader,
    )


def _nats_login(keys: Keys, reader: Reader) -> Login | None:
    """Return a user, a token or credentials: one of these, or none."""
    given = [key for key in ("user", "token", "credentials") if keys.get(key) is not None]
    if len(given) > 1:
        node = keys.key(given[1])
        reader.wrong("SR606", node, f"who connects is shown by one of {listed(given)}, not several")
        return None
    token = reader.given(keys, "token", lambda node, what: read_place(node, what, reader))
    credentials = reader.given(keys, "credentials", reader.path)
    login = _login(keys, reader)
    return Login(token=token, credentials=credentials) if token or credentials else login


def _name(node: Node, what: str, reader: Reader) -> str | None:
    text = reader.text(node, what)
    if text is None or (text.isprintable() and text and not set(text) & set(" .*>/\\")):
        return text
    reader.wrong("SR605", node, f"{quoted(text)} is no name of a {what}", "no spaces, dots, wildcards or slashes")
    return None


def _subject(node: Node, what: str, reader: Reader, *, wild: bool) -> str | None:
    text = reader.text(node, what)
    if text is None:
        return None
    parts = text.split(".")
    if wild:
        parts = [part for part in (parts[:-1] if parts[-1] == ">" else parts) if part != "*"]
    if all(part and part.isprintable() and not set(part) & set(" *>") for part in parts):
        return text
    hint = "write `events.dead`, or `events.>` for several" if wild else "write one, such as `events.dead`"
    reader.wrong("SR605", node, f"{quoted(text)} is no subject", hint)
    return None


def _checked(source: BrokerSource, keys: Keys, reader: Reader) -> BrokerSource | None:
    if not source.servers or not source.names or not source.dead_letters:
        return None
    node = cast("Node", keys.get(source.kind))
    outside = next((server for server in source.servers if not is_loopback(_host(server))), None)
    if outside is not None and source.tls is None and not source.plain and not _asked_for_tls(keys):
        said = f"events from {quoted(outside)} would cross the network in the clear, where they can be forged"
        reader.wrong("SR610", node, said, "give it `tls`; or write `plain: true` where something else encrypts")
        return None
    return source


def _asked_for_tls(keys: Keys) -> bool:
    """Tell whether files for TLS are named, be there something wrong with them."""
    node = keys.get("tls")
    return node is not None and isinstance(node.value, dict)


def _host(server: str) -> str:
    return server.rpartition(":")[0].strip("[]")


def _servers(node: Node, what: str, port: int, reader: Reader) -> tuple[str, ...]:
    """Return addresses, each with its port."""
    found = []
    for item in reader.items(node, what):
        text = reader.text(item, what)
        for word in text.split(",") if text is not None else ():
            address = address_of(word.strip())
            if address is None and ":" not in word:
                address = address_of(f"{word.strip()}:{port}")
            if address is None:
                help_ = f"write `broker.example.net` or `broker.example.net:{port}`"
                reader.wrong("SR607", item, f"{quoted(word)} is no address of a server", help_)
            else:
                found.append(str(address))
    return tuple(found)


def _topic(node: Node, what: str, reader: Reader) -> str | None:
    text = reader.text(node, what)
    if text is None or (_TOPIC.fullmatch(text) and text not in (".", "..")):
        return text
    reader.wrong("SR605", node, f"{quoted(text)} is no name of a topic", "letters, digits, `.`, `_` and `-`")
    return None


def _start(keys: Keys, reader: Reader) -> Literal["beginning", "end"]:
    return cast("Literal['beginning', 'end']", reader.choice(keys, "start", ("beginning", "end")) or _UNSET.start)


def _login(keys: Keys, reader: Reader) -> Login | None:
    """Return a user and its password: both, or neither."""
    user = reader.given(keys, "user", reader.text)
    password = reader.given(keys, "password", lambda node, what: read_place(node, what, reader))
    for one, other in (("user", "password"), ("password", "user")):
        if (node := keys.get(one)) is not None and keys.get(other) is None:
            reader.wrong("SR602", node, f"`{one}` wants a `{other}` beside it")
    return None if user is None or password is None else Login(user, password)


def _tls(keys: Keys, reader: Reader) -> BrokerTls | None:
    """Return how the connection is encrypted: ``true``, or files."""
    node = keys.get("tls")
    if node is None:
        return None
    if isinstance(node.value, str):
        return BrokerTls() if reader.boolean(keys, "tls", False) else None
    inner = reader.keys(node, "`tls`", ("authorities", "certificate", "key"))
    if inner is None:
        return None
    tls = BrokerTls(*(reader.given(inner, key, reader.path) for key in ("authorities", "certificate", "key")))
    if (tls.certificate is None) != (tls.key is None):
        missing = "key" if tls.key is None else "certificate"
        if inner.get(missing) is None:
            reader.wrong("SR602", node, f"`tls` has no `{missing}`")
        return None
    return tls


# The ``events`` of a configuration: where events come from, and who may send them.

#: The kinds of source, and the keys that each takes beside its own.
SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "stdin": (),
    "file": ("follow", "start"),
    "unix": ("uids", "mode"),
    "tcp": ("token", "tls", "plain"),
    "http": ("token", "tls", "plain"),
    **BROKERS,
}


def read_sources(node: Node | None, reader: Reader) -> tuple[SourceSettings, ...]:
    """Return what a configuration says of its sources."""
    found = (_source(item, reader) for item in reader.items(node, "events"))
    return tuple(source for source in found if source is not None)


def _source(node: Node, reader: Reader) -> SourceSettings | None:
    if isinstance(node.value, str):
        path = reader.path(node, "events")
        return StdinSource() if node.value == "-" else FileSource(path or "")
    chosen = reader.one_of(node, "a source", tuple(SOURCES))
    if chosen is None:
        return None
    kind, keys = chosen
    reader.keys(node, f"a source of kind `{kind}`", (kind, *SOURCES[kind]))
    makers: dict[str, Callable[[Keys, Reader], SourceSettings | None]] = {
        "stdin": lambda keys, reader: StdinSource(),  # noqa: ARG005 - one shape for all
        "file": _file,
        "unix": _unix,
        "tcp": _network,
        "http": _network,
        "kafka": read_kafka,
        "nats": read_nats,
    }
    return makers[kind](keys, reader)


def _file(keys: Keys, reader: Reader) -> FileSource | None:
    path = reader.given(keys, "file", reader.path)
    start = reader.choice(keys, "start", ("beginning", "end")) or "beginning"
    follow = reader.boolean(keys, "follow", "start" in keys)
    return None if path is None else FileSource(path, follow, cast("Literal['beginning', 'end']", start))


def _unix(keys: Keys, reader: Reader) -> UnixSource | None:
    path = reader.given(keys, "unix", reader.path)
    uids: frozenset[int] | None = None
    if (node := keys.get("uids")) is not None:
        items = reader.items(node, "uids")
        numbers = [int(item.value) for item in items if _is_number(item, "uids", reader)]
        uids = frozenset(numbers)
    mode = 0o600
    if (node := keys.get("mode")) is not None:
        word = reader.text(node, "mode")
        if word is not None and (not word.isascii() or not word.isdigit() or not _octal(word)):
            reader.wrong("SR603", node, f"`mode` must be permissions in octal, such as `0660`, not {quoted(word)}")
        elif word is not None:
            mode = int(word, 8)
    return None if path is None else UnixSource(path, uids, mode)


def _octal(word: str) -> bool:
    return set(word) <= set("01234567") and len(word) <= 4 and int(word, 8) <= 0o777


def _is_number(node: Node, what: str, reader: Reader) -> bool:
    word = reader.text(node, what)
    if word is None:
        return False
    if word.isascii() and word.isdigit() and len(word) < 11:
        return True
    reader.wrong("SR603", node, f"`{what}` must be numbers of users, not {quoted(word)}")
    return False


def _network(keys: Keys, reader: Reader) -> NetworkSource | None:
    protocol: Literal["http", "tcp"] = "http" if "http" in keys else "tcp"
    node = cast("Node", keys.get(protocol))
    address = read_address(node, protocol, reader)
    token = reader.given(keys, "token", lambda node, what: read_place(node, what, reader))
    tls = reader.given(keys, "tls", lambda node, what: _server_tls(node, what, reader))
    plain = reader.boolean(keys, "plain", False)
    if address is None:
        return None
    source = NetworkSource(protocol, *address, token=token, tls=tls, plain=plain)
    asked = keys.get("token") is not None or keys.get("tls") is not None
    if (fault := exposure_error(source)) is not None and not (asked and (token is None and tls is None)):
        reader.wrong("SR610", node, fault[0], fault[1])
        return None
    return source


def exposure_error(source: NetworkSource) -> tuple[str, str] | None:
    """Return what is wrong about who can reach a source, and what to do about it; None where nothing is."""
    if is_loopback(source.host):
        return None
    if not source.authenticated:
        said = f"`{source.host}` can be reached from elsewhere, and senders need not show who they are"
        return said, "give it a `token`, or `tls` with `clients`; or listen on `127.0.0.1`"
    if source.tls is None and not source.plain:
        said = f"`{source.host}` can be reached from elsewhere, and the token would cross the network in the clear"
        return said, "give it `tls`; or write `plain: true` where something else encrypts"
    return None


def read_address(node: Node, what: str, reader: Reader) -> tuple[str, int] | None:
    """Return an address that is listened on."""
    text = reader.text(node, what)
    if text is None:
        return None
    address = address_of(text)
    if address is None:
        reader.wrong("SR607", node, f"{quoted(text)} is no address", "write `8080`, `127.0.0.1:8080` or `[::1]:8080`")
    return address


def _server_tls(node: Node, what: str, reader: Reader) -> Tls | None:
    keys = reader.keys(node, f"`{what}`", ("certificate", "key", "clients"))
    if keys is None:
        return None
    certificate = reader.needed(keys, "certificate", reader.path)
    key = reader.needed(keys, "key", reader.path)
    clients = reader.given(keys, "clients", reader.path)
    return None if certificate is None or key is None else Tls(certificate, key, clients)
