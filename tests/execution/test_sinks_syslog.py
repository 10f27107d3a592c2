"""Syslog: every message is one by the grammar, and reaches real listeners on every transport."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from flagged import ENGINE, EVENT, alarm_record, many, records
from hypothesis import given
from hypothesis import strategies as st
from syslog_parser import frames, parsed

import spyderresp
from spyderresp.executors import DeliveryError, Syslog
from spyderresp.executors.sinks.syslog import Origin, escaped, message
from spyderresp.guards import Guard

ORIGIN = Origin("node-7", "spyderresp", 42, 10, 32473)
HOSTILE = 'a"b]c\\d\n<13>1 - - - - - - forged\r\x00\x1b[2J\u202e\u2028\udcff é\U0001f600'
DEAD = r"Connection reset by peer|not connected|Broken pipe"
hostile = st.text(
    st.characters(exclude_categories=()) | st.sampled_from('"\\]\n\r\0 <>[é\U0001f600\udcff'), max_size=400
)


def test_a_message_says_who_what_and_where() -> None:
    red, ops = records()
    said = parsed(message(red, ORIGIN, 8192))
    assert (said.facility, said.severity, said.kind) == (10, 3, "REDFLAG")
    assert (said.host, said.application, said.process) == ("node-7", "spyderresp", "42")
    assert said.timestamp == "2023-11-14T22:13:20.250000Z"
    assert said.text == "a shell in a pod"
    assert said.element == "flag@32473"
    assert said.parameters == {
        "id": red["id"], "severity": "high", "event": "dev:1", "policy": "watch", "policyUid": "pol:1", "ref": "proc:1",
        "cluster": "c", "host": "node-7", "muid": "mach:1", "namespace": "shop", "pod": "cart-0",
        "podUid": EVENT["pod"]["kuid"], "container": "0b1c", "image": "cart:1", "process": "sh", "pid": "7",
        "exe": "/bin/sh", "user": "root", "plan": red["plan_id"],
    }  # fmt: skip
    assert parsed(message(ops, ORIGIN, 8192)).severity == 6
    assert parsed(message(alarm_record(), ORIGIN, 8192)).parameters["rule"] == "breaker:overall"


@given(
    st.dictionaries(
        st.sampled_from(
            ["severity", "event_id", "policy_name", "ref", "pod_name", "exe", "name", "euser", "description"]
        ),
        hostile,
    ),
    st.none() | hostile,
    st.integers(480, 3000),
    hostile,
    st.floats() | st.integers() | st.none() | st.text(max_size=5),
)
def test_whatever_it_holds_it_is_one_message_of_the_grammar(
    fields: dict[str, Any], text: str | None, limit: int, host: str, time: Any
) -> None:
    record = {"schema": "event_redflag:policy_response:1.0.0", "id": "flag:1", "time": time, **fields}
    data = message(record, Origin(host, host, 1, 23, 1), limit, text)
    assert len(data) <= limit
    said = parsed(data)
    assert said.parameters["id"] == "flag:1"
    assert b"\n" not in data.replace((text or "").encode("utf-8", "replace"), b"") or (
        text is not None and "\n" in text
    )
    for name, field in (("exe", "exe"), ("pod", "pod_name")):
        if name in said.parameters:
            shown = escaped(fields[field])
            assert said.parameters[name] == (shown if len(shown) <= 256 else shown[:255] + "…")


@given(hostile)
def test_escaping_leaves_no_control_character(text: str) -> None:
    assert escaped(text).isprintable() or all(char.isprintable() or ord(char) > 0x9F for char in escaped(text))
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in escaped(text))


def test_a_long_message_is_cut_between_characters_and_keeps_its_ids() -> None:
    record = {**records()[0], "description": "é" * 10_000}
    for limit in range(480, 620):
        data = message(record, ORIGIN, limit)
        assert len(data) <= limit
        assert parsed(data).parameters["id"] == record["id"]
    said = parsed(message(record, ORIGIN, 2048))
    assert set(said.text) == {"é"}
    assert "plan" in said.parameters


def test_json_is_whole_or_not_there() -> None:
    (red, _) = records()
    whole = json.dumps(red)
    assert json.loads(parsed(message(red, ORIGIN, 8192, whole)).text) == red
    assert parsed(message(red, ORIGIN, 1024, whole)).text == "a shell in a pod"


@contextlib.contextmanager
def datagrams(listener: socket.socket) -> Iterator[Callable[[], bytes]]:
    with listener:
        listener.settimeout(240)
        yield lambda: listener.recv(65536)


def unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(path))
    return listener


def test_a_unix_socket_takes_flags_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with datagrams(unix(path)) as received:
        sink = Syslog(str(path), facility="local3")
        assert sink.local
        report = spyderresp.execute(ENGINE.evaluate(EVENT), sink, Guard(kill_switch=None), event=EVENT)
        assert [outcome.status for outcome in report] == ["done", "done"]
        said = [parsed(received()) for _ in range(2)]
        assert [item.parameters["id"] for item in said] == [record["id"] for record in records()]
        assert (said[0].facility, said[0].host) == (19, socket.gethostname())
    with pytest.raises(DeliveryError, match="Connection refused"):
        sink.deliver(records())
    os.unlink(path)
    with pytest.raises(DeliveryError, match="No such file or directory"):
        Syslog(f"unix://{path}").deliver(records())


def test_a_daemon_that_does_not_read_is_left_in_time(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with unix(path), pytest.raises(DeliveryError, match="no answer in time") as caught:
        Syslog(str(path), timeout=0.05).deliver(many(1) * 2000)
    assert not caught.value.permanent


def test_hostile_text_on_the_wire(tmp_path: Path) -> None:
    path = tmp_path / "log"
    event = {**EVENT, "process": {"name": HOSTILE, "exe": HOSTILE * 500, "euser": HOSTILE}, "pod": {"name": HOSTILE}}
    with datagrams(unix(path)) as received:
        for json_text in (False, True):
            Syslog(str(path), json=json_text).deliver(records(event))
            for _ in range(2):
                data = received()
                assert b"\n" not in data
                assert b"\x1b" not in data
                said = parsed(data)
                assert "forged" in said.parameters["pod"]
                assert "\\n<13>1" in said.parameters["pod"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_udp(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_DGRAM)
    try:
        listener.bind((host, 0))
    except OSError:
        pytest.skip(f"no {host} here")
    port = listener.getsockname()[1]
    sink = Syslog(f"udp://{f'[{host}]' if ':' in host else host}:{port}", json=True, envelope="ocsf")
    assert not sink.local
    with datagrams(listener) as received:
        sink.offer(records())
        said = [parsed(received()) for _ in range(2)]
        assert [item.kind for item in said] == ["REDFLAG", "OPSFLAG"]
        sink.close(240)
    with pytest.raises(DeliveryError, match="Connection refused"):
        sink.deliver(many(20))


@contextlib.contextmanager
def listening(
    answer: Callable[[socket.socket], bytes], trust: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """A TCP listener; yields its port, and what came over each connection."""
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(240)
                    channel = connection if trust is None else trust.wrap_socket(connection, server_side=True)
                    with channel:
                        came.append(answer(channel))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], came
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(240)


def everything(channel: socket.socket) -> bytes:
    data = b""
    while part := channel.recv(65536):
        data += part
    return data


def test_tcp_counts_octets() -> None:
    made = many(50, process={"name": "é\n" * 50})
    with listening(everything) as (port, came):
        sink = Syslog(f"tcp://127.0.0.1:{port}")
        sink.deliver(made)
        sink.deliver(made[:1])
        sink.deliver([])
    assert [parsed(item).parameters["id"] for item in frames(came[0])] == [record["id"] for record in made]
    assert len(frames(came[1])) == 1
    assert len(came) == 2


def reset(channel: socket.socket) -> bytes:
    channel.recv(10)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return b""


def test_a_receiver_that_dies_with_bytes_unread_did_not_take_them() -> None:
    """A write that succeeds says nothing: it is the reset afterwards that counts."""
    with listening(reset) as (port, _), pytest.raises(DeliveryError, match=DEAD) as caught:
        Syslog(f"tcp://127.0.0.1:{port}").deliver(records())
    assert not caught.value.permanent


def test_a_receiver_that_never_closes_has_taken_what_it_acknowledged() -> None:
    ended = threading.Event()

    def keep(channel: socket.socket) -> bytes:
        data = channel.recv(65536)
        ended.wait(240)
        return data

    with listening(keep) as (port, _):
        Syslog(f"tcp://127.0.0.1:{port}", timeout=1.5).deliver(records())
        ended.set()


def test_a_receiver_that_talks_on_and_on_is_left_in_time() -> None:
    ended = threading.Event()

    def talk(channel: socket.socket) -> bytes:
        data = channel.recv(65536)
        while not ended.wait(0.02):
            channel.sendall(b"x")
        return data

    with listening(talk) as (port, _):
        Syslog(f"tcp://127.0.0.1:{port}", timeout=1.5).deliver(records())
        ended.set()


def test_a_receiver_that_stops_reading_is_left_in_time() -> None:
    ended = threading.Event()

    def stop(channel: socket.socket) -> bytes:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ended.wait(240)
        return b""

    big = many(1, process={"exe": "x" * 4000}) * 3000
    with listening(stop) as (port, _):
        with pytest.raises(DeliveryError, match="no answer in time"):
            Syslog(f"tcp://127.0.0.1:{port}", timeout=0.3).deliver(big)
        ended.set()


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeliveryError, match=r"`127\.0\.0\.1`: Connection refused"):
        Syslog(f"tcp://127.0.0.1:{port}").deliver(records())
    with pytest.raises(DeliveryError, match=r"`no\.such\.host\.invalid`: "):
        Syslog("tcp://no.such.host.invalid:1").deliver(records())


def serving(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_verified(tmp_path: Path, version: ssl.TLSVersion) -> None:
    authority, trusted = trustme.CA(), str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(trusted)
    trusting = serving(authority)
    trusting.minimum_version = trusting.maximum_version = version
    with listening(everything, trusting) as (port, came):
        with pytest.raises(DeliveryError, match="certificate verify failed"):
            Syslog(f"tls://127.0.0.1:{port}").deliver(records())
        Syslog(f"tls://127.0.0.1:{port}", ca=trusted).deliver(records())
    assert [[parsed(item).kind for item in frames(data)] for data in came] == [["REDFLAG", "OPSFLAG"]]
    other = serving(authority, "other.example")
    with listening(everything, other) as (port, came), pytest.raises(DeliveryError, match="verify failed"):
        Syslog(f"tls://127.0.0.1:{port}", ca=trusted).deliver(records())
    assert came == []


def test_a_client_certificate_that_is_missing_is_heard_of(tmp_path: Path) -> None:
    """With TLS 1.3 the refusal comes after the client has written everything."""
    authority = trustme.CA()
    trusted, certificate, key = (str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(trusted)
    client = authority.issue_cert("client.example")
    client.cert_chain_pems[0].write_to_path(certificate)
    client.private_key_pem.write_to_path(key)
    wanting = serving(authority)
    authority.configure_trust(wanting)
    wanting.verify_mode = ssl.CERT_REQUIRED
    with listening(everything, wanting) as (port, came):
        with pytest.raises(DeliveryError):
            Syslog(f"tls://127.0.0.1:{port}", ca=trusted).deliver(records())
        Syslog(f"tls://127.0.0.1:{port}", ca=trusted, certificate=(certificate, key)).deliver(records())
    assert [len(frames(data)) for data in came] == [2]


@pytest.mark.parametrize("later", [0.0, 0.3])
def test_a_refusal_is_heard_of_on_a_connection_that_stays_open(tmp_path: Path, later: float) -> None:
    """Every byte is acknowledged, and none was taken: only the alert says so."""
    authority = trustme.CA()
    trusted = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(trusted)
    wanting = serving(authority)
    authority.configure_trust(wanting)
    wanting.verify_mode = ssl.CERT_REQUIRED

    def refuse(connection: socket.socket) -> bytes:
        threading.Event().wait(later)
        inner = socket.socket(fileno=os.dup(connection.fileno()))
        with contextlib.suppress(ssl.SSLError):
            wanting.wrap_socket(inner, server_side=True, suppress_ragged_eofs=False)
        return everything(connection)

    with listening(refuse) as (port, _), pytest.raises(DeliveryError, match="certificate required"):
        Syslog(f"tls://127.0.0.1:{port}", ca=trusted, timeout=240.0).deliver(records())


@pytest.mark.parametrize(
    "address",
    ["", "localhost", "http://h", "udp://", "udp://h:99999", "udp://h:x", "tcp://h/path", "tls://u:p@h", "unix://h/p", "udp://h?x=1"],
)  # fmt: skip
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        Syslog(address)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"facility": "locl0"}, "no facility `locl0`; did you mean `local0`"), ({"limit": 479}, "at least 480 bytes")],
)
def test_settings_that_are_wrong(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Syslog(**settings)
