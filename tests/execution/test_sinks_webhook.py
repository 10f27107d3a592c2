"""Webhooks, against receivers on loopback: those that work, those that refuse, and those that hang, drip and cut."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import standardwebhooks
import trustme
from flagged import ENGINE, EVENT, many, records
from receiver import receiver
from snippets import snippets

import spyderresp
from spyderresp.execution.backoff import Backoff
from spyderresp.executors import DeliveryError, Webhook
from spyderresp.executors.sinks.webhook import Secret
from spyderresp.guards import Guard

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123").decode()
QUICK = Backoff(first=0.001, longest=0.002, attempts=None, obeyed=0.01)


@contextlib.contextmanager
def rude(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does as it likes with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(240)
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/hook"
        finally:
            ended.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(240)


def test_what_is_sent_is_verified_by_the_standards_own_library() -> None:
    with receiver() as there:
        sink = Webhook(there.url, SECRET)
        sink.deliver(records())
        sink.deliver(records())
        ids = set()
        for headers, body in there.requests:
            assert standardwebhooks.Webhook(SECRET).verify(body, headers) == records()
            assert headers["content-type"] == "application/json"
            ids.add(headers["webhook-id"])
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                standardwebhooks.Webhook(SECRET).verify(body.replace(b"dev:1", b"dev:2"), headers)
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                standardwebhooks.Webhook(base64.b64encode(b"x" * 20)).verify(body, headers)
        assert len(ids) == 1, "the same flags are the same message"
        sink.deliver(records()[:1])
        assert there.requests[-1][0]["webhook-id"] == records()[0]["id"]


def test_the_receiver_in_the_documentation_verifies() -> None:
    (code,) = (snippet.code for snippet in snippets("docs/FLAGS.md") if "def verified" in snippet.code)
    space: dict[str, Any] = {}
    exec(code, space)
    key = b"0123456789abcdef0123"
    with receiver() as there:
        Webhook(there.url, key).deliver(records())
        Webhook(there.url, key, now=lambda: time.time() - 400).deliver(records())
        (headers, body), (old, _) = there.requests
        assert space["verified"](headers, body, key) == records()
        for forged, wrong, secret in (
            (headers, body + b" ", key),
            (headers, body, b"x" * 20),
            ({**headers, "webhook-timestamp": str(int(time.time()) + 1)}, body, key),
            ({**headers, "webhook-signature": "v1,\udcff v2,x"}, body, key),
        ):
            with pytest.raises(ValueError, match=r"not signed|surrogates"):
                space["verified"](forged, wrong, secret)
        with pytest.raises(ValueError, match="signed too long ago"):
            space["verified"](old, body, key)


def test_without_a_secret_nothing_is_signed() -> None:
    with receiver() as there:
        Webhook(there.url, None, headers={"authorization": "Bearer abc"}).deliver(records())
        headers, _ = there.requests[0]
        assert "webhook-signature" not in headers
        assert headers["authorization"] == "Bearer abc"


@pytest.mark.parametrize(
    ("envelope", "kind", "mark"),
    [("cloudevents", "application/cloudevents-batch+json", "specversion"), ("ocsf", "application/json", "class_uid")],
)
def test_in_an_envelope(envelope: str, kind: str, mark: str) -> None:
    with receiver() as there:
        Webhook(there.url, SECRET, envelope=envelope).deliver(records())
        headers, body = there.requests[0]
        assert headers["content-type"] == kind
        assert all(mark in item for item in json.loads(body))


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (400, True), (405, True), (410, True), (413, True), (415, True), (422, True), (451, True),
        (401, False), (403, False), (404, False), (408, False), (425, False), (429, False),
        (500, False), (502, False), (503, False), (301, False), (307, False), (304, False),
    ],
)  # fmt: skip
def test_which_answers_are_the_last_word(status: int, permanent: bool) -> None:
    with receiver() as there:
        there.answers = [(status, {"retry-after": "7", "location": "http://127.0.0.1:1/elsewhere"})]
        with pytest.raises(DeliveryError, match=rf"answered with status {status}") as caught:
            Webhook(there.url, SECRET).deliver(records()[:1])
        assert (caught.value.permanent, caught.value.retry_after) == (permanent, 7.0)
        assert len(there.requests) == 1, "one attempt, and no redirect"


def test_execute_goes_on_while_the_receiver_is_down_and_nothing_is_lost() -> None:
    with receiver() as there:
        there.answers = [(503, {}), (429, {"retry-after": "0"}), (500, {}), (401, {})]
        sink = Webhook(there.url, SECRET, backoff=QUICK)
        for number in range(20):
            event = {**EVENT, "id": f"dev:{number}"}
            report = spyderresp.execute(ENGINE.evaluate(event), sink, Guard(kill_switch=None), event=event)
            assert [outcome.status for outcome in report] == ["accepted", "accepted"]
        sink.close(240.0)
        assert sink.waiting == 0
        taken = [record["id"] for _, body in there.requests[4:] for record in json.loads(body)]
        expected = [record["id"] for n in range(20) for record in records({**EVENT, "id": f"dev:{n}"})]
        assert taken == expected


def test_a_full_queue_fails_the_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = Webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/", SECRET, queue=3, timeout=240)
        event = {**EVENT, "id": "a"}
        said = spyderresp.execute(ENGINE.evaluate(event), sink, Guard(kill_switch=None), event=event)
        assert [outcome.status for outcome in said] == ["accepted", "accepted"]
        said = spyderresp.execute(ENGINE.evaluate(EVENT), sink, Guard(kill_switch=None), event=EVENT)
        assert [outcome.status for outcome in said] == ["failed", "failed"]
        assert "the queue is full: 2 of 3 records wait" in said[0].reason
        sink.close(0.01)


def drip(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(600):
        connection.sendall(b"a")
        time.sleep(0.02)


def drip_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 600\r\n\r\n")
    for _ in range(600):
        connection.sendall(b"a")
        time.sleep(0.02)


def hang(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def cut(connection: socket.socket) -> None:
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def half(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-le")


def nonsense(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"\x00\xffhello\r\n\r\n")


@pytest.mark.parametrize("answer", [drip, drip_body, hang])
def test_a_receiver_that_takes_its_time_is_left_in_time(answer: Callable[[socket.socket], None]) -> None:
    """A drip of bytes never runs into a timeout of single reads."""
    with rude(answer) as url, pytest.raises(DeliveryError, match=r"did not answer within 1 s") as caught:
        Webhook(url, SECRET, timeout=1.0).deliver(records())
    assert not caught.value.permanent


@pytest.mark.parametrize("answer", [cut, half, nonsense])
def test_a_receiver_that_cuts_or_talks_nonsense_is_tried_again(answer: Callable[[socket.socket], None]) -> None:
    with rude(answer) as url, pytest.raises(DeliveryError) as caught:
        Webhook(url, SECRET).deliver(many(20))
    assert not caught.value.permanent
    assert "hook" not in str(caught.value)


def test_an_endless_answer_is_not_read() -> None:
    def endless(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with rude(endless) as url:
        Webhook(url, SECRET).deliver(records())


def test_a_dead_receiver() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeliveryError, match=r"`127.0.0.1`: Connection refused") as caught:
        Webhook(f"http://127.0.0.1:{port}/", SECRET).deliver(records())
    assert not caught.value.permanent


def test_many_flags_go_in_requests_of_bounded_size() -> None:
    made = many(250)
    with receiver() as there:
        Webhook(there.url, SECRET).deliver(made)
        sizes = [len(json.loads(body)) for _, body in there.requests]
        assert sizes == [100, 100, 50]
        there.requests.clear()
        big = many(8, content="x", process={"exe": "x" * 4000}, pod={"labels": {f"l{n}": "v" * 300 for n in range(64)}})
        there.most = max(len(json.dumps(record)) for record in big) * 3
        Webhook(there.url, SECRET).deliver(big)
        taken = [record["id"] for _, body in there.requests if len(body) <= there.most for record in json.loads(body)]
        assert taken == [record["id"] for record in big], "a request that is too large is halved"


def test_nothing_secret_is_shown(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    with receiver() as there:
        there.answers = [(500, {}), (302, {"location": "/elsewhere"})]
        url = there.url + "/t0ken?key=t0ken"
        sink = Webhook(url, "s3cret-s3cret-s3cret", headers={"authorization": "Bearer t0ken"}, backoff=QUICK)
        sink.offer(records())
        sink.close(240.0)
        assert [path.count("t0ken") for path in there.paths] == [2, 2, 2]
    with pytest.raises(DeliveryError) as caught:
        sink.deliver(records())
    shown = [repr(sink), str(caught.value), repr(caught.value), repr(Secret("s3cret-s3cret-s3cret"))]
    shown += [*caplog.messages, *capsys.readouterr()]
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    for text in shown:
        assert "t0ken" not in text
        assert "s3cret" not in text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com/", "must begin with `https://` and a host"),
        ("example.com/x", "must begin with `https://` and a host"),
        ("https://", "must begin with `https://` and a host"),
        ("https://u:hunter2@example.com/", "must not contain a user"),
        ("http://example.com/hunter2", "`http://` to `example.com` is not encrypted"),
        ("http://127.0.0.1.example.com/", "is not encrypted"),
        ("https://example.com:hunter2/", "is not a valid URL"),
    ],
)
def test_an_address_that_is_not_safe_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Webhook(url, SECRET)
    assert "hunter2" not in str(caught.value)


def test_plain_http_on_request_and_to_this_host() -> None:
    for url in ("http://localhost/", "http://[::1]/", "http://127.9.9.9/", "https://example.com/"):
        Webhook(url, SECRET)
    Webhook("http://collector.logging.svc/", SECRET, plaintext=True)


@pytest.mark.parametrize("secret", ["", "short", b"x" * 15, "whsec_" + base64.b64encode(b"x" * 15).decode()])
def test_a_short_secret_is_refused(secret: str | bytes) -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Webhook("https://example.com/", secret)


def test_a_secret_that_is_no_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="is not base64") as caught:
        Webhook("https://example.com/", "whsec_hunter2!")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("headers", [{"a": "b\r\nc: d"}, {"a b": "c"}, {"a": "\udcff"}, {"": "x"}])
def test_a_header_that_would_be_two_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        Webhook("https://example.com/", SECRET, headers=headers)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def serving(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_tls_is_verified(authority: trustme.CA, tmp_path: Any) -> None:
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with receiver(serving(authority)) as there:
        with pytest.raises(
            DeliveryError, match="no secure connection: unable to get local issuer certificate"
        ) as caught:
            Webhook(there.url, SECRET).deliver(records())
        assert not caught.value.permanent
        assert there.requests == []
        Webhook(there.url, SECRET, ca=str(trusted)).deliver(records())
        assert len(there.requests) == 1
    with receiver(serving(authority, "other.example")) as there:
        with pytest.raises(DeliveryError, match="no secure connection: IP address mismatch"):
            Webhook(there.url, SECRET, ca=str(trusted)).deliver(records())
        assert there.requests == []


def test_a_client_certificate(authority: trustme.CA, tmp_path: Any) -> None:
    trusted, certificate, key = (str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(trusted)
    client = authority.issue_cert("client.example")
    client.cert_chain_pems[0].write_to_path(certificate)
    client.private_key_pem.write_to_path(key)
    wanting = serving(authority)
    authority.configure_trust(wanting)
    wanting.verify_mode = ssl.CERT_REQUIRED
    with receiver(wanting) as there:
        with pytest.raises(DeliveryError):
            Webhook(there.url, SECRET, ca=trusted).deliver(records())
        Webhook(there.url, SECRET, ca=trusted, certificate=(certificate, key)).deliver(records())
        assert len(there.requests) == 1


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with receiver() as there:
        Webhook(there.url, SECRET).deliver(records())
        assert len(there.requests) == 1
