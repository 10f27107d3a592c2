"""The brokers among the ``events`` of a configuration."""

from __future__ import annotations

import re
from typing import Final, Literal, cast

from spyderresp.findings import listed, quoted
from spyderresp.service.addresses import address_of, is_loopback
from spyderresp.service.credentials import read_place
from spyderresp.service.reading import Keys, Node, Reader
from spyderresp.service.settings import BrokerSource, BrokerTls, Login

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
