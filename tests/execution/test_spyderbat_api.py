"""The vendor's API, as far as it can be had here: what is asked for, what each answer means, what a network can do."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

import spyderresp
from spyderresp.execution.backoff import Backoff
from spyderresp.execution.report import StepOutcome
from spyderresp.executors import SpyderbatApi
from spyderresp.guards import Guard

TOKEN = "s3cret-t0ken"
QUICK = Backoff(first=0.01, longest=0.05, attempts=None, within=60.0, obeyed=60.0)
PROCESS = {"name": "evil", "pid": 4242, "uid": "proc:AbC-1:x_Y:99"}
POD = {"name": "web", "uid": "pod:Zz9", "kuid": "k"}


def event(process: Any = None, pod: Any = None, namespace: str | None = "shop") -> dict[str, Any]:
    said: dict[str, Any] = {"id": "e1", "cluster": {"name": "prod"}, "process": {**PROCESS, **(process or {})}}
    if pod is not None:
        said["pod"] = pod
    if namespace is not None:
        said["namespace"] = {"name": namespace}
    return said


def kill(executor: Any, action: str, said: dict[str, Any]) -> StepOutcome:
    policy = {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": "stop-evil", "type": "cluster"},
        "spec": {
            "mode": "enforce",
            "clusterSelector": {"matchFields": {"name": "*"}},
            "response": {"default": [], "actions": [{action: {"processSelector": {"matchFields": {"name": "*"}}}}]},
        },
    }
    engine = spyderresp.Engine(spyderresp.from_documents([policy]))
    (outcome,) = spyderresp.execute(engine.evaluate(said), executor, Guard(kill_switch=None), event=said)
    return outcome


class Vendor:
    """Answers one thing after the other; the last for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(**answer) if isinstance(answer, dict) else httpx.Response(answer)


def made(vendor: Vendor, **settings: Any) -> SpyderbatApi:
    client = httpx.Client(transport=httpx.MockTransport(vendor), follow_redirects=True)
    return SpyderbatApi("org1", TOKEN, **{"client": client, "retry": QUICK, **settings})


@pytest.mark.parametrize(
    ("action", "path", "flags"),
    [
        ("agentKillPod", "killpod/pod:Zz9", {}),
        ("agentKillProcess", "killprocess/proc:AbC-1:x_Y:99", (False, False)),
        ("agentKillProcessGroup", "killprocess/proc:AbC-1:x_Y:99", (True, False)),
        ("agentKillProcessTree", "killprocess/proc:AbC-1:x_Y:99", (False, True)),
    ],
)
def test_what_is_asked_for(action: str, path: str, flags: Any) -> None:
    vendor = Vendor(200)
    outcome = kill(made(vendor), action, event(pod=POD))
    assert (outcome.status, outcome.executor) == ("accepted", "spyderbat-api")
    (request,) = vendor.asked
    assert request.method == "POST"
    assert str(request.url) == f"https://api.spyderbat.com/api/v1/org/org1/response/agent/{path}"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    body = json.loads(request.content)
    assert body.pop("reason") == "spyderresp: stop-evil"
    assert body == (dict(zip(("kill_process_group", "kill_process_tree"), flags, strict=True)) if flags else {})


@pytest.mark.parametrize(
    ("action", "said", "rule"),
    [
        ("agentKillProcess", event({"uid": None}), "identity"),
        ("agentKillProcess", event({"uid": "4242"}), "identity"),
        ("agentKillProcess", event({"uid": "pod:Zz9"}), "identity"),
        ("agentKillProcess", event({"uid": "proc:.."}), "identity"),
        ("agentKillProcess", event({"uid": "proc:a/../../killpod/pod:b"}), "identity"),
        ("agentKillProcess", event({"uid": "proc:a?x=1"}), "identity"),
        ("agentKillProcess", event({"uid": "proc:a\n"}), "identity"),
        ("agentKillProcess", event({"uid": "proc:"}), "identity"),
        ("agentKillProcess", event({"pid": 1}), "never:system"),
        ("agentKillProcess", event({"pid": "1"}), "never:system"),
        ("agentKillProcessTree", event({"ppid": 2}), "never:system"),
        ("agentKillProcess", event(namespace="kube-system"), "protected:namespace"),
        ("agentKillProcess", event(pod=POD, namespace=None), "protected:namespace"),
        ("agentKillPod", event(pod=POD, namespace="kube-system"), "protected:namespace"),
        ("agentKillPod", event(pod=POD, namespace=None), "protected:namespace"),
        ("agentKillPod", event(pod={"name": "web", "kuid": "k"}), "identity"),
        ("agentKillPod", event(pod={"uid": "proc:a"}), "identity"),
    ],
)
def test_what_is_refused_before_anybody_is_asked(action: str, said: dict[str, Any], rule: str) -> None:
    vendor = Vendor(200)
    outcome = kill(made(vendor), action, said)
    assert (outcome.status, outcome.rule) == ("refused", rule)
    assert vendor.asked == []


def test_a_process_outside_of_pods_needs_no_namespace() -> None:
    assert kill(made(Vendor(202)), "agentKillProcess", event(namespace=None)).status == "accepted"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (200, "accepted"),
        (202, "accepted"),
        (204, "accepted"),
        (410, "already"),
        (404, "failed"),
        (400, "failed"),
        (401, "failed"),
        (403, "failed"),
        (422, "failed"),
        (501, "failed"),
        ({"status_code": 307, "headers": {"Location": "https://elsewhere.example/"}}, "failed"),
    ],
)
def test_what_an_answer_means(answer: Any, status: str) -> None:
    vendor = Vendor(answer)
    outcome = kill(made(vendor), "agentKillProcess", event())
    assert outcome.status == status
    assert len(vendor.asked) == 1
    if status == "failed":
        assert f"HTTP {answer if isinstance(answer, int) else 307}" in outcome.reason


@pytest.mark.parametrize(
    "answer",
    [
        409,
        429,
        {"status_code": 429, "headers": {"Retry-After": "0"}},
        500,
        502,
        503,
        504,
        httpx.ConnectError("no"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
    ],
    ids=str,
)
def test_what_passes_is_tried_again(answer: Any) -> None:
    vendor = Vendor(answer, answer, 200)
    assert kill(made(vendor), "agentKillProcess", event()).status == "accepted"
    assert len(vendor.asked) == 3
    assert len({bytes(request.content) for request in vendor.asked}) == 1


def test_what_the_agent_did_is_never_said_to_be_known() -> None:
    executor = made(Vendor(200))
    outcome = kill(executor, "agentKillProcess", event())
    followed = executor.follow(outcome.step, outcome.details)
    assert followed.status == "incomplete"
    assert PROCESS["uid"] in followed.reason


def test_it_gives_up_in_the_end() -> None:
    vendor = Vendor({"status_code": 503, "json": {"message": "agent is offline"}})
    outcome = kill(made(vendor, retry=replace(QUICK, within=0.2)), "agentKillProcess", event())
    assert outcome.status == "failed"
    assert "agent is offline" in outcome.reason
    patient = Vendor({"status_code": 429, "headers": {"Retry-After": "3600"}})
    assert kill(made(patient), "agentKillProcess", event()).status == "failed"
    assert len(patient.asked) == 1


def test_the_token_is_nowhere() -> None:
    echo = Vendor({"status_code": 403, "json": {"message": f"Bearer {TOKEN} may not"}}, {"status_code": 200})
    executor = made(echo)
    for _ in range(2):
        outcome = kill(executor, "agentKillProcess", event())
        assert TOKEN not in repr(outcome) + repr(outcome.to_dict()) + repr(executor)
    # httpx names in its error the header that cannot be sent.
    client = httpx.Client(transport=httpx.MockTransport(Vendor(200)))
    outcome = kill(SpyderbatApi("org1", lambda: "bad\nt0ken", client=client), "agentKillProcess", event())
    assert outcome.status == "failed"
    assert "t0ken" not in repr(outcome)


def test_the_token_may_be_looked_up_each_time() -> None:
    vendor = Vendor(200)
    tokens = iter(["first\n", "second"])
    client = httpx.Client(transport=httpx.MockTransport(vendor))
    executor = SpyderbatApi("org1", lambda: next(tokens), client=client)
    for said in ("first", "second"):
        assert kill(executor, "agentKillProcess", event()).status == "accepted"
        assert vendor.asked[-1].headers["Authorization"] == f"Bearer {said}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"org": "a/b"}, "org"),
        ({"org": ""}, "org"),
        ({"token": ""}, "token"),
        ({"token": "a\nb"}, "token"),
        ({"url": "http://api.spyderbat.com"}, "https"),
        ({"url": "file:///etc"}, "https"),
        ({"timeout": (0, 1)}, "timeout"),
        ({"retry": Backoff(attempts=None)}, "retry"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpyderbatApi(**{"org": "org1", "token": TOKEN, **settings})


@contextmanager
def listening(serve: Callable[[socket.socket, int], None]) -> Iterator[str]:
    """Serve each connection with ``serve``, which is told how many came before."""
    listener = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        for number in range(1000):
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                serve(connection, number)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        # Closing alone does not end an accept() that waits.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(240)


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def test_over_a_network_that_cuts_and_stalls() -> None:
    stop = threading.Event()

    def serve(connection: socket.socket, number: int) -> None:
        connection.recv(65536)
        if number == 1:
            connection.sendall(GOOD[:20])
        elif number == 2:
            stop.wait(0.5)
        elif number > 2:
            # A machine that is slow now may cut that one off too.
            connection.sendall(GOOD)

    with listening(serve) as url:
        executor = SpyderbatApi("org1", TOKEN, url=url, timeout=(1.0, 0.3), retry=QUICK)
        outcome = kill(executor, "agentKillProcess", event())
        executor.close()
    assert outcome.status == "accepted", outcome.reason


def test_an_answer_that_drips_holds_up_nothing() -> None:
    stop = threading.Event()

    def serve(connection: socket.socket, number: int) -> None:
        connection.recv(65536)
        for byte in GOOD:
            if stop.wait(0.1):
                return
            connection.sendall(bytes([byte]))

    with listening(serve) as url:
        retry = replace(QUICK, within=0.2)
        executor = SpyderbatApi("org1", TOKEN, url=url, timeout=(0.2, 0.3), retry=retry)
        outcome = kill(executor, "agentKillProcess", event())
        stop.set()
    assert outcome.status == "failed"
    assert "no answer within" in outcome.reason
