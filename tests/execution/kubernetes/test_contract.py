"""What the executor does to pods, on every server: the stand-in, and a real one where it is named."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_cluster import NAMESPACE, NODE, QUICK, Cluster, event, kill

from spyderresp.execution.interfaces import Held
from spyderresp.execution.pipeline import HOST_RULE
from spyderresp.execution.protection import Protection
from spyderresp.execution.steps import Step
from spyderresp.executors import Kubernetes
from spyderresp.executors.kubernetes.pods import Deletion

Make = Callable[..., Kubernetes]
RACES = int(os.environ.get("SPYDERRESP_KUBE_RACES", "20"))
RIGHTS = Path(__file__).parents[3] / "examples" / "kubernetes" / "rbac.yaml"


def test_a_pod_that_no_node_has_is_gone_at_once(cluster: Cluster, executor: Make) -> None:
    uid = cluster.create("unbound", bound=False)
    outcome = kill(executor(), event("unbound", uid))
    assert (outcome.status, outcome.details["uid"]) == ("done", uid)
    assert cluster.get("unbound") is None


def test_a_bound_pod_ends_gracefully_and_is_followed_up(cluster: Cluster, executor: Make) -> None:
    uid = cluster.create("bound", grace=20)
    kubernetes = executor()
    outcome = kill(kubernetes, event("bound", uid))
    assert outcome.status == "accepted", outcome.reason
    facts = {"namespace": NAMESPACE, "name": "bound", "uid": uid, "node": NODE, "grace": 20}
    assert facts.items() <= outcome.details.items()
    pod = cluster.get("bound")
    assert pod is not None
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 20
    assert pod["metadata"]["deletionTimestamp"] == outcome.details["ends"]
    still = kubernetes.follow(outcome.step, outcome.details)
    assert still.status == "accepted"
    cluster.finish("bound")
    assert kubernetes.follow(outcome.step, still.details).status == "done"


def test_follow_tells_a_recreated_pod_from_the_one_that_is_gone(cluster: Cluster, executor: Make) -> None:
    kubernetes = executor()
    outcome = kill(kubernetes, event("again", cluster.create("again")))
    second = cluster.recreate("again")
    assert kubernetes.follow(outcome.step, outcome.details).status == "done"
    assert cluster.uid("again") == second


def test_follow_says_where_nothing_deletes_the_pod(cluster: Cluster, executor: Make) -> None:
    uid = cluster.create("alive")
    kubernetes = executor()
    details = {"namespace": NAMESPACE, "name": "alive", "uid": uid}
    outcome = kill(kubernetes, event("gone-before", uid))
    assert kubernetes.follow(outcome.step, details).status == "failed"


def test_the_grace_period_is_ours_where_we_give_one(cluster: Cluster, executor: Make) -> None:
    outcome = kill(executor(grace_period=3), event("short", cluster.create("short", grace=600)))
    pod = cluster.get("short")
    assert outcome.status == "accepted"
    assert pod is not None
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 3


def test_a_record_that_went_at_once_is_no_end_that_was_seen(cluster: Cluster, executor: Make) -> None:
    outcome = kill(executor(grace_period=0), event("forced", cluster.create("forced")))
    assert outcome.status == "incomplete"
    assert NODE in outcome.reason
    assert cluster.get("forced") is None


def test_waits_for_the_end(cluster: Cluster, executor: Make) -> None:
    uid = cluster.create("waited")

    def finish() -> None:
        # As a node does: not before it is told to.
        while "deletionTimestamp" not in (cluster.get("waited") or {})["metadata"]:
            time.sleep(0.05)
        cluster.finish("waited")

    node = threading.Thread(target=finish)
    node.start()
    outcome = kill(executor(wait=240.0), event("waited", uid))
    node.join()
    assert outcome.status == "done", outcome.reason


def test_waits_no_longer_than_it_was_told(cluster: Cluster, executor: Make) -> None:
    outcome = kill(executor(wait=0.3), event("stays", cluster.create("stays")))
    assert outcome.status == "accepted"


def test_a_pod_under_another_uid_is_never_touched(cluster: Cluster, executor: Make) -> None:
    first = cluster.create("web-0")
    second = cluster.recreate("web-0")
    for evict in (False, True):
        outcome = kill(executor(evict=evict), event("web-0", first))
        assert outcome.status == "mismatch"
        assert second in outcome.reason
    pod = cluster.get("web-0")
    assert pod is not None
    assert pod["metadata"]["uid"] == second
    assert "deletionTimestamp" not in pod["metadata"]


@pytest.mark.parametrize("evict", [False, True])
def test_a_pod_recreated_between_looking_and_acting_is_never_touched(
    cluster: Cluster, executor: Make, evict: bool
) -> None:
    """Again and again: the UID travels with the request, so that no moment in between is the wrong one."""
    kubernetes = executor(evict=evict)
    uid = cluster.create("raced", bound=False)
    for _ in range(RACES):
        outcome = kill(Interposed(kubernetes, lambda: cluster.recreate("raced", bound=False)), event("raced", uid))
        assert outcome.status == "mismatch", outcome.reason
        pod = cluster.get("raced")
        assert pod is not None
        assert "deletionTimestamp" not in pod["metadata"]
        uid = pod["metadata"]["uid"]


def test_a_pod_that_goes_between_looking_and_acting_is_already_gone(cluster: Cluster, executor: Make) -> None:
    for evict in (False, True):
        uid = cluster.create("going", bound=False)
        outcome = kill(Interposed(executor(evict=evict), lambda: cluster.finish("going")), event("going", uid))
        assert outcome.status == "already", outcome.reason


class Interposed:
    """Lets something happen between ``resolve`` and ``act``."""

    def __init__(self, inner: Kubernetes, meanwhile: Callable[[], object]) -> None:
        self.name, self.actions = inner.name, inner.actions
        self._inner = inner
        self._meanwhile = meanwhile

    def resolve(self, step: Step, protection: Protection) -> Any:
        held = self._inner.resolve(step, protection)
        self._meanwhile()
        return held

    def close(self) -> None: ...


def test_a_pod_that_never_was_is_already_gone(cluster: Cluster, executor: Make) -> None:
    assert kill(executor(), event("nobody", "0b9e2d1c-0000-4000-8000-000000000000")).status == "already"


def test_a_pod_that_is_being_deleted_is_only_watched(cluster: Cluster, executor: Make) -> None:
    uid = cluster.create("leaving", grace=60)
    kubernetes = executor()
    first = kill(kubernetes, event("leaving", uid))
    second = kill(kubernetes, event("leaving", uid))
    assert (first.status, second.status) == ("accepted", "accepted")
    assert "already" in second.reason
    assert second.details["ends"] == first.details["ends"]
    # A shorter grace than it has is worth asking for.
    assert kill(executor(grace_period=2), event("leaving", uid)).status == "accepted"
    pod = cluster.get("leaving")
    assert pod is not None
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 2


def test_finalizers_are_named(cluster: Cluster, executor: Make) -> None:
    uid = cluster.create("kept", bound=False, finalizers=["example.com/kept"])
    outcome = kill(executor(), event("kept", uid))
    assert outcome.status == "accepted"
    assert "example.com/kept" in outcome.reason


def test_the_picture_of_a_static_pod_is_refused(cluster: Cluster, executor: Make) -> None:
    uid = cluster.create("static", annotations={"kubernetes.io/config.mirror": "abc"})
    outcome = kill(executor(), event("static", uid))
    assert (outcome.status, outcome.rule) == ("refused", "static")
    pod = cluster.get("static")
    assert pod is not None
    assert "deletionTimestamp" not in pod["metadata"]


def test_what_anybody_can_write_on_a_pod_shields_it_from_nothing(cluster: Cluster, executor: Make) -> None:
    owner = {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": "1", "controller": True}
    notes = {"kubernetes.io/config.source": "file"}
    uid = cluster.create("shielded", bound=False, annotations=notes, ownerReferences=[owner])
    assert kill(executor(), event("shielded", uid)).status == "done"


def test_we_are_never_the_target(cluster: Cluster, executor: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = cluster.create("ourselves")
    monkeypatch.setenv("POD_UID", uid)
    outcome = kill(executor(), event("ourselves", uid))
    assert (outcome.status, outcome.rule) == ("refused", "never:self")


def test_eviction(cluster: Cluster, executor: Make) -> None:
    uid = cluster.create("evicted", labels={"app": "evicted"})
    cluster.run("evicted")
    outcome = kill(executor(evict=True, grace_period=7), event("evicted", uid))
    assert outcome.status == "accepted", outcome.reason
    pod = cluster.get("evicted")
    assert pod is not None
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 7


def test_a_disruption_budget_holds_an_eviction_back_and_is_named(cluster: Cluster, executor: Make) -> None:
    uid = cluster.create("budgeted", labels={"app": "budgeted"})
    cluster.run("budgeted")
    cluster.budget("tight", "budgeted", 0)
    try:
        retry = replace(QUICK, within=0.5)
        outcome = kill(executor(evict=True, retry=retry), event("budgeted", uid))
        assert outcome.status == "failed"
        assert "HTTP 429" in outcome.reason
        assert "disruption budget tight" in outcome.reason
        pod = cluster.get("budgeted")
        assert pod is not None
        assert "deletionTimestamp" not in pod["metadata"]
        # Deleting asks no budget.
        assert kill(executor(), event("budgeted", uid)).status == "accepted"
    finally:
        cluster.drop_budget("tight")


def rights(name: str) -> list[dict[str, Any]]:
    """Return the rules of a role of the example."""
    documents = yaml.safe_load_all(RIGHTS.read_text())
    (rules,) = (one["rules"] for one in documents if one["kind"] == "ClusterRole" and one["metadata"]["name"] == name)
    return rules  # type: ignore[no-any-return]


@pytest.mark.parametrize(("role", "evict"), [("spyderresp-kill-pods", False), ("spyderresp-evict-pods", True)])
def test_the_rights_of_the_example_are_enough_and_each_is_needed(
    cluster: Cluster, executor: Make, role: str, evict: bool
) -> None:
    rules = rights(role)
    try:
        limited = executor(client=cluster.grant(rules), evict=evict)
        assert kill(limited, event("granted", cluster.create("granted"))).status == "accepted"
        every = [(rule, verb) for rule in rules for verb in rule["verbs"]]
        for rule, verb in every:
            less = [
                {**one, "verbs": [each for each in one["verbs"] if one is not rule or each != verb]} for one in rules
            ]
            cluster.recreate("granted")
            limited = executor(client=cluster.grant([one for one in less if one["verbs"]]), evict=evict)
            outcome = kill(limited, event("granted", cluster.uid("granted")))
            assert outcome.status == "failed"
            assert "HTTP 403" in outcome.reason
            assert f'cannot {verb} resource "{rule["resources"][0]}"' in outcome.reason
            assert "deletionTimestamp" not in (cluster.get("granted") or {})["metadata"]
    finally:
        cluster.revoke()


def test_many_threads_share_one(cluster: Cluster, executor: Make) -> None:
    kubernetes = executor()
    uids = {f"many-{i}": cluster.create(f"many-{i}", bound=False) for i in range(8)}
    outcomes: dict[str, str] = {}

    def work(name: str) -> None:
        outcomes[name] = kill(kubernetes, event(name, uids[name])).status

    threads = [threading.Thread(target=work, args=(name,)) for name in uids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert outcomes == dict.fromkeys(uids, "done")


def test_the_rule_of_other_hosts_hands_the_step_on(cluster: Cluster, executor: Make) -> None:
    outcome = kill(executor(), event("x", "u", cluster={"name": "staging"}))
    assert (outcome.status, outcome.rule) == ("refused", HOST_RULE)


def test_a_held_pod_names_itself(cluster: Cluster, executor: Make) -> None:
    uid = cluster.create("held")
    held: list[Held] = []

    class Keeping(Interposed):
        def resolve(self, step: Step, protection: Protection) -> Any:
            held.append(super().resolve(step, protection))
            return held[0]

    kill(Keeping(executor(), lambda: None), event("held", uid))
    assert held[0].identity == f"pod:{uid}"
    assert held[0].namespace == NAMESPACE
    assert held[0].facts["node"] == NODE


def test_the_same_race_without_the_precondition_kills_the_innocent(
    cluster: Cluster, executor: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the race above is worth: deleting by name alone loses it."""

    def by_name(self: Deletion) -> tuple[str, str, dict[str, Any]]:
        return "DELETE", self._pod.path, {}

    monkeypatch.setattr(Deletion, "_request", by_name)
    uid = cluster.create("innocent", bound=False)
    kill(Interposed(executor(), lambda: cluster.recreate("innocent", bound=False)), event("innocent", uid))
    assert cluster.get("innocent") is None
