"""Events over Unix and TCP sockets, and TLS."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from service.conftest import line
from service.test_http import TOKEN, Served

from spyderresp.service.config.settings import SenderLimits, Settings
from spyderresp.service.config.source_settings import Address, HttpSource, Secret, TcpSource, Tls, UnixSource
from spyderresp.service.sources.base import SourceError
from spyderresp.service.sources.sockets import UnixSocket


@pytest.fixture
def served(context: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    monkeypatch.setenv("TOKEN", TOKEN)
    started: list[Served] = []

    def served(source: Any, *, idle: bool = False, **limits: Any) -> Served:
        started.append(Served(context, source, Settings(limits=SenderLimits(**limits)), idle=idle))
        return started[-1]

    yield served
    for each in started:
        each.end()


def tcp(**more: Any) -> TcpSource:
    return TcpSource(Address("127.0.0.1", 0), **more)


def told(connection: socket.socket, *parts: bytes) -> Any:
    """Send, close our side, and return what is said at the end."""
    with connection:
        connection.settimeout(240)
        # One who is refused may be told so, and hung up on, before everything is sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
        return json.loads(connection.makefile("rb").read())


def unix(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(path))
    return connection


def test_a_unix_socket(served, tmp_path, heard):
    path = tmp_path / "events.sock"
    server = served(UnixSource(str(path)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = told(unix(path), line(1)[:30], line(1)[30:] + b"{\n" + line(2, "fine"), line(3).rstrip(b"\n"))
    assert (said["accepted"], said["bad"], said["outcomes"]) == (3, 1, {"done": 4})
    assert [item["line"] for item in said["errors"]] == [2]
    assert heard.bads[0][:2] == (f"unix uid {os.geteuid()}", 2)
    server.stop.call()
    server.threads[0].join(240)
    server.listener.close()
    assert not path.exists()


def test_a_peer_of_another_user_is_refused(served, tmp_path, recording):
    path = tmp_path / "events.sock"
    server = served(UnixSource(str(path), frozenset({os.geteuid() + 1})))
    assert told(unix(path), b"") == {"error": f"user {os.geteuid()} may not send events here"}
    assert server.counts.turned_away == {"unauthorized": 1}
    assert recording.acted == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_peer_that_is_another_user(served, tmp_path, recording):
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    path = tmp_path / "events.sock"
    served(UnixSource(str(path), None, 0o666))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setuid(65534)
            said = told(unix(path), line(1))
            code = 0 if said == {"error": "user 65534 may not send events here"} else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert recording.acted == []


def test_what_stands_at_the_path(tmp_path):
    path = tmp_path / "events.sock"
    place = UnixSocket(str(path), 0o660)
    first = place.bind()
    with pytest.raises(OSError, match="another process listens there"):
        UnixSocket(str(path), 0o660).bind()
    first.close()
    # Left by one that was killed.
    second = UnixSocket(str(path), 0o660).bind()
    place.remove()
    assert path.exists(), "what is there now is somebody else's"
    second.close()
    path.unlink()
    path.write_text("mine")
    with pytest.raises(OSError, match="a file that is not a socket"):
        UnixSocket(str(path), 0o660).bind()
    assert path.read_text() == "mine"


def test_tcp_with_a_token(served, recording):
    server = served(tcp(token=Secret(env="TOKEN")))

    def connection() -> socket.socket:
        return socket.create_connection(("127.0.0.1", server.listener.port))

    for greeting in (b"", b"Bearer wrong\n", f"Basic {TOKEN}\n".encode(), b"x" * 10_000, line(1)):
        if greeting:
            assert told(connection(), greeting) == {"error": "the first line must be `Bearer TOKEN`"}
    assert recording.acted == []
    said = told(connection(), f"Bearer {TOKEN}\n".encode() + line(1)[:5], line(1)[5:])
    assert said["accepted"] == 1
    assert server.counts.turned_away == {"unauthorized": 4}


def test_a_token_that_does_not_come(served):
    server = served(tcp(token=Secret(env="TOKEN")), patience=0.2)
    with socket.create_connection(("127.0.0.1", server.listener.port), timeout=240) as connection:
        assert json.loads(connection.makefile("rb").read()) == {"error": "no token came"}


def test_a_line_beyond_the_limit(served):
    server = served(tcp(), line=1000)
    connection = socket.create_connection(("127.0.0.1", server.listener.port))
    said = told(connection, line(1), b"x" * 300_000 + b"\n", line(2))
    assert (said["accepted"], said["errors"][0]["line"]) == (2, 2)
    assert "longer than 1,000 bytes" in said["errors"][0]["reason"]


def test_a_sender_is_held_up_and_nothing_is_lost(served, until, recording):
    server = served(tcp(), idle=True, events=50)
    count = 20_000
    connection = socket.create_connection(("127.0.0.1", server.listener.port))
    connection.settimeout(0.5)
    data = b"".join(line(number, "fine", note="x" * 1000) for number in range(count))
    sent = 0
    while sent < len(data):
        try:
            sent += connection.send(data[sent : sent + 65536])
        except TimeoutError:
            break
    # The kernel's buffers are full, and the service reads no more.
    assert sent < len(data)
    server.decide()
    said = told(connection, data[sent:])
    assert said["accepted"] == count


def test_the_end_says_what_was_accepted(served, until):
    server = served(tcp())
    with socket.create_connection(("127.0.0.1", server.listener.port), timeout=240) as connection:
        connection.sendall(line(1) + line(2) + b"half")
        until(lambda: server._context.counts.decided == 2)
        server.stop.call()
        assert json.loads(connection.makefile("rb").read())["accepted"] == 2


def test_a_port_that_is_taken(served, context):
    server = served(tcp())
    with pytest.raises(SourceError, match="address already in use"):
        Served(context, replace(tcp(), address=Address("127.0.0.1", server.listener.port)), Settings())


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> Tls:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    for name, pems in (("chain", certificate.cert_chain_pems), ("clients", [authority.cert_pem])):
        (tmp_path / name).write_bytes(b"".join(pem.bytes() for pem in pems))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key"))
    return Tls(str(tmp_path / "chain"), str(tmp_path / "key"), str(tmp_path / "clients"))


def client(authority: trustme.CA, *, known: bool) -> ssl.SSLContext:
    tls_context = ssl.create_default_context()
    authority.configure_trust(tls_context)
    if known:
        authority.issue_cert("sender").configure_cert(tls_context)
    return tls_context


@pytest.mark.parametrize("protocol", ["tcp", "http"])
def test_client_certificates(served, authority, files, protocol, until, recording):
    server = served((HttpSource if protocol == "http" else TcpSource)(Address("127.0.0.1", 0), tls=files))
    sent = line(1)
    if protocol == "http":
        sent = (
            b"POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(sent) + sent
        )

    def ask(tls_context: ssl.SSLContext) -> bytes:
        with (
            socket.create_connection(("127.0.0.1", server.listener.port), timeout=240) as plain,
            tls_context.wrap_socket(plain, server_hostname="localhost") as secret,
        ):
            secret.sendall(sent)
            return secret.recv(1000) if protocol == "http" else b""

    # In TLS 1.3 the refusal comes after the handshake: with the first reading, where there is one.
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        assert ask(client(authority, known=False)) == b""
    until(lambda: not server.listener._connections)
    assert recording.acted == []
    assert ask(client(authority, known=True)).startswith(b"HTTP/1.1 200" if protocol == "http" else b"")
    until(lambda: recording.acted)


def test_a_certificate_that_cannot_be_read(context, tmp_path):
    source = HttpSource(Address("127.0.0.1", 0), tls=Tls(str(tmp_path / "no"), str(tmp_path / "no")))
    with pytest.raises(SourceError, match="no such file"):
        Served(context, source, Settings())
