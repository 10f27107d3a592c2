"""What goes wrong between the executor and its server: planted, so on the stand-in alone."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from kube_cluster import NAMESPACE, QUICK, Cluster, event, kill
from kube_stand_in import Fault, StandIn, status
from kubernetes import client as official

from spyderresp.execution.protection import Protection
from spyderresp.executors import Kubernetes

UNAVAILABLE = status(503, "ServiceUnavailable", "the server is currently unable to handle the request")
BUSY = status(429, "TooManyRequests", "too many requests, please try again later")


def made(cluster: Cluster, **settings: Any) -> Kubernetes:
    return Kubernetes("prod", **{"client": cluster.client, "retry": QUICK, "timeout": (60.0, 60.0), **settings})


# Where it is to run out: else a machine that is slow would be taken for a fault.
IMPATIENT = (1.0, 0.4)


def changes(stand_in: StandIn) -> list[str]:
    return [method for method, path in stand_in.log if method == "DELETE" or path.endswith("/eviction")]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("", answer=UNAVAILABLE, times=3),
        Fault("", answer=status(500, "InternalError", "etcdserver: leader changed"), times=3),
        Fault("", answer=status(504, "Timeout", "request did not complete within requested timeout"), times=2),
        Fault("", answer=(502, "<html>bad gateway</html>"), times=2),
        Fault("", answer=BUSY, headers=(("Retry-After", "0"),), times=3),
        Fault("", cut=True, times=3),
        Fault("", delay=0.6, times=1),
        Fault("", drip=0.2, times=1),
    ],
    ids=["503", "500", "504", "502", "429", "cut", "slow", "dripping"],
)
def test_what_passes_is_tried_again(standing: Cluster, stand_in: StandIn, method: str, fault: Fault) -> None:
    uid = standing.create("p", bound=False)
    stand_in.faults.append(replace(fault, method=method))
    settings = {"timeout": IMPATIENT} if fault.delay or fault.drip else {}
    outcome = kill(made(standing, **settings), event("p", uid))
    assert outcome.status == "done", outcome.reason
    assert standing.get("p") is None


@pytest.mark.parametrize("evict", [False, True])
def test_a_conflict_about_the_same_pod_is_tried_again(standing: Cluster, stand_in: StandIn, evict: bool) -> None:
    uid = standing.create("p", bound=False)
    said = status(409, "Conflict", "the object has been modified; please apply your changes to the latest version")
    stand_in.faults.append(Fault("POST" if evict else "DELETE", answer=said, times=2, path="/pods/p"))
    assert kill(made(standing, evict=evict), event("p", uid)).status == "done"
    assert len(changes(stand_in)) == 3


@pytest.mark.parametrize("evict", [False, True])
@pytest.mark.parametrize("bound", [False, True])
def test_after_a_lost_answer_it_looks_before_it_asks_again(
    standing: Cluster, stand_in: StandIn, evict: bool, bound: bool
) -> None:
    uid = standing.create("p", bound=bound)
    stand_in.faults.append(Fault("POST" if evict else "DELETE", cut=True, first=True, path="/pods/p"))
    outcome = kill(made(standing, evict=evict), event("p", uid))
    assert outcome.status == ("accepted" if bound else "done")
    assert len(changes(stand_in)) == 1


def test_after_a_lost_answer_a_successor_is_never_touched(standing: Cluster, stand_in: StandIn) -> None:
    uid = standing.create("p", bound=False)
    stand_in.faults.append(
        Fault("DELETE", cut=True, first=True, then=lambda: stand_in.create(NAMESPACE, _bare("p"))),
    )
    outcome = kill(made(standing), event("p", uid))
    assert outcome.status == "done", outcome.reason
    assert "lost" in outcome.reason
    assert standing.uid("p") not in (None, uid)


def _bare(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": []}}


def test_it_waits_as_long_as_the_server_says(standing: Cluster, stand_in: StandIn) -> None:
    uid = standing.create("p", bound=False)
    stand_in.faults.append(Fault("DELETE", answer=BUSY, headers=(("Retry-After", "1"),)))
    begun = time.monotonic()
    assert kill(made(standing), event("p", uid)).status == "done"
    assert time.monotonic() - begun >= 1.0


def test_it_gives_up_where_the_server_asks_for_more_than_there_is(standing: Cluster, stand_in: StandIn) -> None:
    uid = standing.create("p", bound=False)
    stand_in.faults.append(Fault("DELETE", answer=BUSY, headers=(("Retry-After", "3600"),), times=99))
    outcome = kill(made(standing), event("p", uid))
    assert outcome.status == "failed"
    assert "HTTP 429: too many requests" in outcome.reason
    assert len(changes(stand_in)) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "fault", [Fault("", answer=UNAVAILABLE), Fault("", cut=True), Fault("", answer=UNAVAILABLE, drip=0.3)]
)
def test_it_gives_up_in_the_end(standing: Cluster, stand_in: StandIn, method: str, fault: Fault) -> None:
    uid = standing.create("p")
    stand_in.faults.append(replace(fault, method=method, times=10_000))
    outcome = kill(made(standing, retry=replace(QUICK, within=0.5), timeout=IMPATIENT), event("p", uid))
    assert outcome.status == "failed"
    stand_in.faults.clear()
    assert standing.uid("p") == uid


def test_what_cannot_be_told_is_said(standing: Cluster, stand_in: StandIn) -> None:
    """The request arrived, its answer was lost, and then there is nobody to ask."""
    uid = standing.create("p")

    def silence() -> None:
        stand_in.faults.append(Fault("GET", cut=True, times=10_000))

    stand_in.faults.append(Fault("DELETE", cut=True, first=True, then=silence))
    outcome = kill(made(standing, retry=replace(QUICK, within=2.0)), event("p", uid))
    assert outcome.status == "failed"
    assert "not known" in outcome.reason


def test_a_stale_eviction_stalls_no_longer_than_the_timeouts(standing: Cluster, stand_in: StandIn) -> None:
    """Recreated after the look and before the request arrives: the server stalls, and the successor lives."""
    uid = standing.create("p", bound=False)
    stand_in.stall = 30.0

    def recreate() -> None:
        with stand_in.lock:
            del stand_in.pods[NAMESPACE, "p"]
            stand_in.create(NAMESPACE, _bare("p"))

    # The first look is that of `resolve`, the second that before the eviction.
    stand_in.faults += [Fault("GET", path="/pods/p"), Fault("GET", path="/pods/p", then=recreate)]
    outcome = kill(made(standing, evict=True, timeout=IMPATIENT), event("p", uid))
    assert outcome.status == "done", outcome.reason
    assert "lost" in outcome.reason
    assert standing.uid("p") not in (None, uid)


@pytest.mark.parametrize("code", [301, 400, 401, 403, 405, 410, 422, 501])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_does_not_pass_is_not_tried_again(standing: Cluster, stand_in: StandIn, method: str, code: int) -> None:
    uid = standing.create("p")
    said = status(code, "Some", f"no {code}")
    stand_in.faults.append(Fault(method, answer=said, headers=(("Location", "/api/v1/elsewhere"),), times=99))
    outcome = kill(made(standing), event("p", uid))
    assert outcome.status == "failed"
    assert f"HTTP {code}: no {code}" in outcome.reason
    assert len(changes(stand_in)) == (method == "DELETE")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "said",
    [
        "404 page not found",
        {"kind": "Status", "reason": "NotFound", "message": "the server could not find the requested resource"},
        {"kind": "Status", "reason": "NotFound", "details": {"kind": "pods", "name": "q"}},
        {"kind": "Status", "reason": "NotFound", "details": {"kind": "namespaces", "name": "p"}},
        [],
        "[" * 100_000,
    ],
    ids=["text", "path", "name", "kind", "list", "deep"],
)
def test_not_every_404_says_that_the_pod_is_gone(
    standing: Cluster, stand_in: StandIn, method: str, said: object
) -> None:
    uid = standing.create("p")
    stand_in.faults.append(Fault(method, answer=(404, said), times=99))
    assert kill(made(standing), event("p", uid)).status == "failed"


@pytest.mark.parametrize(
    "said",
    [
        "",
        "no JSON",
        [],
        {},
        {"kind": "Namespace", "metadata": {"name": "p", "namespace": NAMESPACE, "uid": "UID"}},
        {"kind": "Pod", "metadata": {"name": "q", "namespace": NAMESPACE, "uid": "UID"}},
        {"kind": "Pod", "metadata": {"name": "p", "namespace": "other", "uid": "UID"}},
        {"kind": "Pod", "metadata": {"name": "p", "namespace": NAMESPACE}},
        {"kind": "Pod", "metadata": None},
        {"kind": "Pod", "metadata": {"name": "p", "namespace": NAMESPACE, "uid": 5}},
    ],
)
def test_an_answer_that_is_no_such_pod_is_not_acted_on(standing: Cluster, stand_in: StandIn, said: object) -> None:
    stand_in.faults.append(Fault("GET", answer=(200, said), times=99))
    assert kill(made(standing), event("p", "UID")).status == "failed"
    assert changes(stand_in) == []


@pytest.mark.parametrize("name", ["..", ".", "../../namespaces/x", "a/b", "a%2Fb", "A", "", "a" * 254, "p\n", "a..b"])
def test_what_is_no_name_reaches_no_path(standing: Cluster, stand_in: StandIn, name: str) -> None:
    """A pod called `..` would be its namespace, and the event could bring the namespace's own UID."""
    for said in (event(name, "u"), event("p", "u", name)):
        outcome = kill(made(standing), said)
        assert (outcome.status, outcome.rule) == ("refused", "identity")
    assert stand_in.log == []


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        (event("p", None), "identity"),
        (event("p", ""), "identity"),
        (event(None, "u"), "identity"),
        (event("p", "u", None), "identity"),
        (event("p", "u", "kube-system"), "protected:namespace"),
        (event("p", "u", "payments"), "protected:namespace"),
        (event("p", "u", cluster={"name": "staging"}), "host"),
        (event("p", "u", cluster={"name": "staging", "uid": "clus:9"}), "host"),
        (event("p", "u", cluster={"labels": {}}), "host"),
    ],
)
def test_what_is_refused_before_anybody_is_asked(
    standing: Cluster, stand_in: StandIn, said: dict[str, Any], rule: str
) -> None:
    protection = Protection().including(namespaces=frozenset({"payments"}))
    # The policy matches every named cluster: an event without one is handed to the executor itself.
    if "name" not in said["cluster"]:
        outcome = made(standing).resolve(_step(said), protection)
    else:
        outcome = kill(made(standing), said, protection).result
    assert (outcome.status, outcome.rule) == ("refused", rule)  # type: ignore[union-attr]
    assert stand_in.log == []


def _step(said: dict[str, Any]) -> Any:
    (outcome,) = [kill(Kubernetes("nothing"), {**said, "cluster": {"name": "prod"}})]
    from spyderresp.execution.steps import target_from_dict

    return replace(outcome.step, target=target_from_dict(said))


@pytest.mark.parametrize(
    ("cluster_uid", "named", "ours"),
    [
        (None, {"name": "prod"}, True),
        (None, {"name": "x", "uid": "prod"}, True),
        (None, {"name": "x", "uid": "y"}, False),
        ("clus:1", {"name": "prod"}, True),
        ("clus:1", {"name": "prod", "uid": "clus:1"}, True),
        ("clus:1", {"name": "prod", "uid": "clus:2"}, False),
        ("clus:1", {"name": "x", "uid": "clus:1"}, False),
    ],
)
def test_which_cluster_is_ours(standing: Cluster, cluster_uid: str | None, named: dict[str, str], ours: bool) -> None:
    outcome = kill(made(standing, cluster_uid=cluster_uid), event("p", "u", cluster=named))
    assert outcome.status == ("already" if ours else "refused")


def test_without_discovery_of_evictions_it_fails_and_deletes_nothing(standing: Cluster, stand_in: StandIn) -> None:
    stand_in.eviction = ""
    uid = standing.create("p")
    outcome = kill(made(standing, evict=True), event("p", uid))
    assert outcome.status == "failed"
    assert "offers no eviction" in outcome.reason
    assert changes(stand_in) == []


def test_a_wrong_token_is_said_and_not_shown(standing: Cluster) -> None:
    configuration = official.Configuration(host=standing.client.configuration.host)
    configuration.api_key["authorization"] = "Bearer s3cret"
    executor = made(standing, client=official.ApiClient(configuration))
    outcome = kill(executor, event("p", standing.create("p")))
    assert outcome.status == "failed"
    assert "HTTP 401: Unauthorized" in outcome.reason
    assert "s3cret" not in repr(outcome) + repr(executor)


def test_without_a_configuration_a_step_fails_and_nothing_is_raised(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    executor = Kubernetes("prod", kubeconfig=tmp_path / "none")
    outcome = kill(executor, event("p", "u"))
    assert outcome.status == "failed"
    assert "no usable Kubernetes configuration" in outcome.reason


def test_a_kubeconfig_is_read_when_it_is_needed(standing: Cluster, tmp_path: Any) -> None:
    file = tmp_path / "config"
    executor = Kubernetes("prod", kubeconfig=file)
    host = standing.client.configuration.host
    file.write_text(
        f"{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: '{host}'}}}}],"
        " users: [{name: u, user: {token: good}}], contexts: [{name: c, context: {cluster: c, user: u}}]}"
    )
    assert kill(executor, event("p", standing.create("p", bound=False))).status == "done"
    executor.close()
    assert kill(executor, event("p", "u")).status == "failed"


def test_a_login_that_hangs_holds_up_nothing(standing: Cluster) -> None:
    let_go = threading.Event()
    configuration = official.Configuration(host=standing.client.configuration.host)
    configuration.api_key["authorization"] = "Bearer good"
    configuration.refresh_api_key_hook = lambda _: let_go.wait(240)
    executor = made(standing, client=official.ApiClient(configuration), retry=replace(QUICK, within=0.5))
    try:
        outcome = kill(executor, event("p", "u"))
    finally:
        let_go.set()
    assert outcome.status == "failed"
    assert "no answer within" in outcome.reason


def test_nobody_listens() -> None:
    configuration = official.Configuration(host="http://127.0.0.1:1")
    executor = Kubernetes("prod", client=official.ApiClient(configuration), retry=replace(QUICK, within=2.0))
    outcome = kill(executor, event("p", "u"))
    assert outcome.status == "failed"
    assert "refused" in outcome.reason


@pytest.mark.parametrize(
    "settings",
    [
        {"cluster": ""},
        {"grace_period": -1},
        {"grace_period": 1.5},
        {"wait": float("inf")},
        {"timeout": (0, 1)},
        {"retry": replace(QUICK, within=None)},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`"):
        Kubernetes(**{"cluster": "prod", **settings})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("V1DeleteOptions", {"preconditions": {"uid": 5}}),
        ("V1DeleteOptions", {"preconditions": {"UID": "u"}}),
        ("V1DeleteOptions", {"gracePeriodSeconds": "5"}),
        ("V1DeleteOptions", {"precondition": {"uid": "u"}}),
        ("V1Eviction", {"deleteOptions": {"preconditions": {"uid": None}}}),
        ("V1Eviction", {"options": {}}),
        ("V1Eviction", {"metadata": {"labels": {"a": 1}}}),
    ],
)
def test_the_stand_in_refuses_what_the_schema_refuses(stand_in: StandIn, kind: str, body: dict[str, Any]) -> None:
    code, said = stand_in.refusal(kind, body)
    assert (code, said["reason"]) == (400, "BadRequest")
