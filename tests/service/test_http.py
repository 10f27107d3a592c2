"""Events over HTTP: what is answered, and what a sender cannot do."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from service.conftest import line

from spyderresp.service.config.build import SourceFactory
from spyderresp.service.config.settings import SenderLimits, Settings
from spyderresp.service.config.source_settings import Address, HttpSource, NetworkSource, Secret
from spyderresp.service.intake import Intake
from spyderresp.service.loop import serve
from spyderresp.service.metrics import Counts, StateReader
from spyderresp.service.sources.base import Stop
from spyderresp.service.sources.file import Positions
from spyderresp.service.sources.sockets import Listener

TOKEN = "correct-horse-battery-staple"


class Served:
    """A listener and, unless ``idle``, the rounds behind it."""

    def __init__(self, context: Any, source: NetworkSource, settings: Settings, *, idle: bool = False) -> None:
        self.intake = Intake(settings.limits.events, settings.limits.bytes)
        self.counts = Counts()
        watch = StateReader(context.engine, context.guard, self.intake, ready=lambda: True)
        making = SourceFactory(
            replace(settings, events=(source,)), Positions(None), context.observer, self.counts, watch
        )
        (listener,) = making.sources()
        assert isinstance(listener, Listener)
        self.listener = listener
        self.listener.open()
        self.stop = Stop()
        self.threads = [threading.Thread(target=self.listener.run, args=(self.intake, self.stop), daemon=True)]
        self._context = context
        if not idle:
            self.decide()
        self.threads[0].start()

    def decide(self) -> None:
        self.threads.append(threading.Thread(target=serve, args=(self.intake, self._context), daemon=True))
        self.threads[-1].start()

    def end(self) -> None:
        self.stop.call()
        self.threads[0].join(240)
        self.intake.close()
        for thread in self.threads:
            thread.join(240)
            assert not thread.is_alive()
        self.listener.close()
        self.stop.close()

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.listener.port, timeout=240)
        try:
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        kind = answer.headers["Content-Type"]
        return answer.status, json.loads(data) if kind == "application/json" and data else data, dict(answer.headers)

    def post(self, body: bytes, **headers: str) -> tuple[int, Any, dict[str, str]]:
        return self.ask("POST", "/v1/events", body, **headers)

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are; return everything that comes until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.listener.port), timeout=240) as connection:
            connection.sendall(data)
            heard = b""
            while chunk := connection.recv(65536):
                heard += chunk
            return heard


@pytest.fixture
def served(context: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    monkeypatch.setenv("TOKEN", TOKEN)
    started: list[Served] = []

    def served(*, token: bool = False, idle: bool = False, **limits: Any) -> Served:
        source = HttpSource(Address("127.0.0.1", 0), Secret(env="TOKEN") if token else None)
        started.append(Served(context, source, Settings(limits=SenderLimits(**limits)), idle=idle))
        return started[-1]

    yield served
    for each in started:
        each.end()


def test_json_lines(served, heard):
    body = line(1) + b"{\n" + line(2, "fine") + line(3, process={"name": 5})
    status, said, _ = served().post(body)
    assert status == 200
    assert (said["accepted"], said["bad"], said["outcomes"]) == (2, 2, {"done": 2})
    assert [(item["line"], item["path"]) for item in said["errors"]] == [(2, ""), (4, "process.name")]
    assert [number for _, number, _ in heard.bads] == [2, 4]


def test_one_object_and_a_list(served):
    server = served()
    pretty = json.dumps(json.loads(line(1)), indent=2).encode()
    assert server.post(pretty, Content_Type="application/json; charset=utf-8")[1]["accepted"] == 1
    status, said, _ = server.post(b"[" + line(1) + b", 7]", Content_Type="application/json")
    assert (status, said["accepted"], said["errors"][0]["line"]) == (200, 1, 2)


def test_nothing_to_be_decided_is_400(served):
    assert served().post(b"{\n{\n")[0] == 400
    assert served().post(b"")[:2] == (
        200,
        {"accepted": 0, "bad": 0, "outcomes": {}, "policy_set": served().post(b"")[1]["policy_set"]},
    )


def test_the_token(served):
    server = served(token=True)
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer t\xf6ken"},
    ):
        status, said, count_events = server.post(line(1), **headers)
        assert (status, count_events["WWW-Authenticate"]) == (401, "Bearer")
        assert TOKEN not in said["error"]
        assert server.ask("GET", "/metrics", **headers)[0] == 401
    assert server.post(line(1), Authorization=f"bearer {TOKEN}")[0] == 200
    assert server.ask("GET", "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert server.ask("GET", "/healthz")[0] == 200
    assert server.counts.turned_away["unauthorized"] == 12


def test_two_tokens_are_none(served):
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n"
    answer = served(token=True).raw(head.encode() + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("header", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_browser_is_not_answered_without_a_token(served, recording, header):
    assert served().post(line(1), **header)[0] == 403
    assert recording.acted == []
    assert served(token=True).post(line(1), Authorization=f"Bearer {TOKEN}", **header)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/events", {}, 405),
        ("PUT", "/v1/events", {}, 405),
        ("POST", "/metrics", {}, 405),
        ("POST", "/", {}, 404),
        ("POST", "/v1/events/", {}, 404),
        ("POST", "/v1/events?x=1", {}, 200),
        ("POST", "/v1/events", {"Content-Encoding": "gzip"}, 415),
        ("POST", "/v1/events", {"Content-Encoding": "identity"}, 200),
        ("POST", "/v1/events", {"Upgrade": "h2c", "Connection": "Upgrade"}, 400),
        ("GET", "/healthz", {}, 200),
        ("HEAD", "/healthz", {}, 200),
        ("GET", "/readyz", {}, 200),
    ],
)
def test_what_is_offered(served, method, path, headers, status):
    assert served().ask(method, path, line(1) if method in ("POST", "PUT") else b"", **headers)[0] == status


def test_metrics(served, context):
    server = served()
    server.post(line(1) + b"{")
    status, text, headers = server.ask("GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    shown = text.decode()
    for figure in ("spyderresp_queue_events 0.0", "spyderresp_ready 1.0", "spyderresp_policies 1.0"):
        assert f"\n{figure}\n" in shown
    assert f'spyderresp_policy_set_info{{digest="{context.engine.policies.digest}"}} 1.0' in shown


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit(served, recording, chunked):
    server = served(body=1000)
    body = line(1) * 20
    if chunked:
        sent = b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        sent = b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = server.raw(b"POST /v1/events HTTP/1.1\r\nHost: x\r\n" + sent)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert recording.acted == []
    assert server.counts.turned_away == {"too_large": 1}


def test_chunks_are_put_together(served):
    body = line(1) + line(2)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = served().raw(head + chunks)
    assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["accepted"] == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 20\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}",
        b"CONNECT x:1 HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_is_no_http(served, recording, sent):
    assert served().raw(sent).startswith(b"HTTP/1.1 400 ")
    assert recording.acted == []


def test_a_head_without_end(served):
    assert served().raw(b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 100_000).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("sent", [b"", b"POST /v1", b"POST /v1/events HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"])
def test_a_request_that_does_not_come_to_an_end(served, sent):
    answer = served(patience=1.0).raw(sent)
    assert answer[:13] == (b"HTTP/1.1 408 " if sent else b"")


def test_one_byte_at_a_time_is_too_slow(served):
    server = served(patience=1.5)
    with socket.create_connection(("127.0.0.1", server.listener.port), timeout=240) as connection:
        heard = b""
        connection.settimeout(0.05)
        for byte in b"POST /v1/events HTTP/1.1\r\nX: " + b"y" * 1000:
            # Where it hung up already the sending fails, and what it said is there all the same.
            with contextlib.suppress(OSError):
                connection.send(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                heard += connection.recv(100)
            if heard:
                break
        assert heard.startswith(b"HTTP/1.1 408 ")


def test_more_connections_than_there_may_be(served, until):
    server = served(connections=2)
    held = [socket.create_connection(("127.0.0.1", server.listener.port)) for _ in range(2)]
    until(lambda: len(server.listener._connections) == 2)
    third = socket.create_connection(("127.0.0.1", server.listener.port), timeout=240)
    with third, contextlib.suppress(ConnectionResetError):
        assert third.recv(1) == b""
    assert server.counts.turned_away == {"connections": 1}
    for each in held:
        each.close()
    until(lambda: not server.listener._connections)
    assert server.post(line(1))[0] == 200


def test_overload_is_429_and_nothing_of_it_is_taken(served, until, recording):
    server = served(idle=True, events=3)
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(server.post(line(1) + line(2))[0]))
    waiting.start()
    until(lambda: server.intake.depth)
    status, said, headers = server.post(line(3) + line(4))
    assert (status, headers["Retry-After"]) == (429, "1")
    assert "too many events wait" in said["error"]
    # The same connection goes on afterwards.
    connection = http.client.HTTPConnection("127.0.0.1", server.listener.port, timeout=240)
    connection.request("POST", "/v1/events", line(5) * 5)
    first = connection.getresponse()
    assert (first.status, bool(first.read())) == (429, True)
    server.decide()
    waiting.join(240)
    until(lambda: not server.intake.depth)
    connection.request("POST", "/v1/events", line(6))
    assert connection.getresponse().status == 200
    connection.close()
    assert answers == [200]
    assert {step.event for step in recording.acted} == {"e1", "e2", "e6"}
    assert server.counts.turned_away == {"overload": 2}


def test_two_requests_at_once_on_one_connection(served, recording):
    one = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
    bodies = [line(1), line(2)]
    answer = served().raw(b"".join(one % (len(body), body) for body in bodies))
    # The second has no answer: its sender comes again.
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer
    assert {step.event for step in recording.acted} == {"e1"}


def test_expect_100(served):
    server = served(body=1000)
    with socket.create_connection(("127.0.0.1", server.listener.port), timeout=240) as connection:
        connection.sendall(
            b"POST /v1/events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(line(1))
        )
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(line(1))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    answer = server.raw(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_the_end_waits_for_what_was_accepted(served, until):
    server = served(idle=True)
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(server.post(line(1))[0]))
    waiting.start()
    idle = socket.create_connection(("127.0.0.1", server.listener.port))
    until(lambda: server.intake.depth and len(server.listener._connections) == 2)
    server.stop.call()
    assert idle.recv(1) == b""
    idle.close()
    assert answers == []
    with pytest.raises(ConnectionRefusedError):
        until(lambda: socket.create_connection(("127.0.0.1", server.listener.port)).close())
    server.decide()
    waiting.join(240)
    assert answers == [200]


def test_a_sender_that_goes_away_before_the_answer(served, until, recording):
    server = served(idle=True)
    with socket.create_connection(("127.0.0.1", server.listener.port)) as connection:
        connection.sendall(
            b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(line(1)), line(1))
        )
        until(lambda: server.intake.depth)
    time.sleep(0.1)
    server.decide()
    # What was accepted is decided.
    until(lambda: recording.acted)
    assert server.post(line(2))[0] == 200
