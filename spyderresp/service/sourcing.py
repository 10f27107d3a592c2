"""The ``events`` of a configuration: where events come from, and who may send them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, cast

from spyderresp.findings import quoted
from spyderresp.service.addresses import address_of, is_loopback
from spyderresp.service.brokering import BROKERS, read_kafka, read_nats
from spyderresp.service.credentials import read_place
from spyderresp.service.reading import Keys, Node, Reader
from spyderresp.service.settings import (
    FileSource,
    NetworkSource,
    SourceSettings,
    StdinSource,
    Tls,
    UnixSource,
)

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
    tls = reader.given(keys, "tls", lambda node, what: _tls(node, what, reader))
    plain = reader.boolean(keys, "plain", False)
    if address is None:
        return None
    source = NetworkSource(protocol, *address, token=token, tls=tls, plain=plain)
    asked = keys.get("token") is not None or keys.get("tls") is not None
    if (fault := exposed(source)) is not None and not (asked and (token is None and tls is None)):
        reader.wrong("SR610", node, fault[0], fault[1])
        return None
    return source


def exposed(source: NetworkSource) -> tuple[str, str] | None:
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


def _tls(node: Node, what: str, reader: Reader) -> Tls | None:
    keys = reader.keys(node, f"`{what}`", ("certificate", "key", "clients"))
    if keys is None:
        return None
    certificate = reader.needed(keys, "certificate", reader.path)
    key = reader.needed(keys, "key", reader.path)
    clients = reader.given(keys, "clients", reader.path)
    return None if certificate is None or key is None else Tls(certificate, key, clients)
