"""Many policies in scope, and policies of many entries: decided as the oracle does, whatever is remembered of them."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
import strategies as s
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import core

import spyderresp
from spyderresp.decision import reference

#: So many copies of a policy in scope are a broad scope, and so many of an entry are looked up and not all asked.
COPIES = 70
FEW = settings().max_examples // 4


def copies(documents: list[dict[str, Any]], *, own_names: bool) -> list[dict[str, Any]]:
    """Return documents many times over, one after the other, with names of their own or all alike."""
    made = []
    for number in range(COPIES):
        for document in documents:
            made.append(copy.deepcopy(document))
            metadata = made[-1]["metadata"]
            if number:
                metadata.pop("uid", None)
                metadata["name"] += f"-{number}" if own_names else ""
    return made


def lengthened(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return documents whose policies have every entry many times, so that none of them is broad."""
    made = copy.deepcopy(documents)
    for document in made:
        response = document["spec"]["response"]
        for section in ("default", "actions"):
            response[section] = response.get(section, []) * COPIES
    return made


def outcome(decide: Any, *args: Any) -> tuple[str, Any]:
    try:
        plan = decide(*args)
    except spyderresp.EventError as error:
        return "error", error.path
    return "plan", plan if isinstance(plan, dict) else core(plan.to_dict())


def hold(documents: list[dict[str, Any]], events: list[dict[str, Any]], options: dict[str, Any]) -> None:
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies, **options)
    asked = reference.Options(**options)
    wanted = [outcome(reference.evaluate, policies, event, asked) for event in events]
    for what in ("decided", "remembered"):
        assert [outcome(engine.evaluate, event) for event in events] == wanted, what
    engine.replace(policies)
    # Each event comes to what others left behind.
    for event, plan in zip(reversed(events), reversed(wanted), strict=True):
        assert outcome(engine.evaluate, event) == plan, "forgotten"


@given(s.cases(bad=True, max_size=3, max_events=4), st.booleans(), st.sampled_from(s.OPTIONS))
@settings(max_examples=FEW)
def test_many_policies_in_scope(case: Any, own_names: bool, options: dict[str, Any]) -> None:
    documents, events = case
    hold(copies(documents, own_names=own_names), events, options)


@given(s.cases(bad=True, max_size=3, max_events=4), st.sampled_from(s.OPTIONS))
@settings(max_examples=FEW)
def test_policies_of_many_entries(case: Any, options: dict[str, Any]) -> None:
    documents, events = case
    hold(lengthened(documents), events, options)


def policy(number: int, **selectors: Any) -> dict[str, Any]:
    """Return a policy for every cluster, whose one entry fires for a process of its own."""
    flag = {"severity": "low", "processSelector": {"exe": [f"/bin/{number}", f"/srv/{number}/*"]}}
    return {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": f"p{number}", "type": "cluster"},
        "spec": {
            "mode": "audit",
            "clusterSelector": {"name": "c*"},
            **selectors,
            "response": {"actions": [{"makeRedFlag": flag}]},
        },
    }


@pytest.mark.parametrize("fresh", [False, True], ids=["repeating", "never seen"])
def test_in_a_broad_scope_only_what_may_fire_is_asked(fresh: bool) -> None:
    policies = spyderresp.from_documents(policy(number) for number in range(500))
    engine = spyderresp.Engine(policies)
    events = [
        {"cluster": {"name": "c"}, "process": {"exe": f"/srv/{number}/{number}" if fresh else f"/bin/{number}"}}
        for number in range(100)
    ]
    plans = [engine.evaluate(event) for event in events]
    assert [plan[0].sources[0].policy for plan in plans] == [f"p{number}" for number in range(100)]
    assert {plan.policies for plan in plans} == {tuple(f"p{number}" for number in range(500))}
    stats = engine.stats()
    assert stats["policies_looked_at"] == 500
    assert stats["entries_asked"] == 100
    assert stats["broad_scopes"] == 1


def test_what_may_fire_fires_in_scope_alone_and_once() -> None:
    """An entry of a policy out of scope, one found by two of its operands, and loose ones."""
    elsewhere = policy(1, clusterSelector={"name": "d"})
    elsewhere["metadata"]["name"] = "elsewhere"
    twice = policy(501)
    flag = twice["spec"]["response"]["actions"][0]["makeRedFlag"]
    flag["processSelector"] = {"exe": ["/bin/1", "/bin/*1", "*/1"]}
    loose = policy(502)
    loose["spec"]["response"]["default"] = [{"makeRedFlag": {"severity": "high"}}]
    documents = [elsewhere, *(policy(number) for number in range(100)), twice, loose]
    single = policy(600)
    single["spec"]["response"] = {
        section: [entry for document in documents[1:] for entry in document["spec"]["response"].get(section, [])]
        for section in ("default", "actions")
    }
    for some in (documents, [elsewhere, single]):
        policies = spyderresp.from_documents(some)
        engine = spyderresp.Engine(policies)
        for exe in ("/bin/1", "/bin/1", "/bin/2", "/bin/none", None):
            event = {"cluster": {"name": "c"}, "process": {"exe": exe}}
            assert core(engine.evaluate(event).to_dict()) == reference.evaluate(policies, event)
        assert engine.stats()["entries_asked"] < 50


def test_of_a_policy_with_many_entries_only_those_that_may_fire_are_asked() -> None:
    document = policy(0)
    document["spec"]["response"]["actions"] = [
        entry for number in range(500) for entry in policy(number)["spec"]["response"]["actions"]
    ]
    engine = spyderresp.Engine(spyderresp.from_documents([document]))
    for number in range(100):
        plan = engine.evaluate({"cluster": {"name": "c"}, "process": {"exe": f"/bin/{number}"}})
        assert [source.index for action in plan for source in action.sources] == [number]
    assert engine.stats()["entries_asked"] == 100


def test_broad_scopes_are_bounded_by_number_and_by_weight() -> None:
    """Every pair of hosts is a combination of its own; half of them name other policies than any before."""
    documents = [
        policy(number, machineSelector={"hostname": [f"h{number % 7}*", f"*t{number % 11}", "all"]})
        for number in range(2_000)
    ]
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies)
    budget = 200_000 + 10 * len(policies)
    for number in range(150):
        for host in (f"h{number % 7}-{number}t{number % 11}", "all"):
            event = {"cluster": {"name": "c"}, "machine": {"hostname": host}, "process": {"exe": f"/bin/{number}"}}
            plan = engine.evaluate(event)
            if number % 15 == 0:
                assert core(plan.to_dict()) == reference.evaluate(policies, event)
        stats = engine.stats()
        assert stats["broad_scopes"] <= 64
        assert stats["broad_weight"] <= budget


def test_broad_scopes_of_the_same_policies_are_one() -> None:
    """What is asked for and makes no difference is a combination of its own, and no scope."""
    other = policy(500, machineSelector={"hostname": [f"h{number}" for number in range(40)]})
    other["spec"]["clusterSelector"] = {"uid": "nowhere"}
    engine = spyderresp.Engine(spyderresp.from_documents([*(policy(number) for number in range(500)), other]))
    weights = set()
    for number in range(40):
        machine = {"hostname": f"h{number}"}
        engine.evaluate({"cluster": {"name": "c"}, "machine": machine, "process": {"exe": "/bin/1"}})
        weights.add(engine.stats()["broad_weight"])
    assert engine.stats()["broad_scopes"] == 40
    assert len(weights) == 1


def test_garbage_that_decides_while_a_broad_scope_is_made() -> None:
    policies = spyderresp.from_documents(policy(number) for number in range(200))
    engine = spyderresp.Engine(policies)
    ran = 0

    class Garbage:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            nonlocal ran
            ran += 1
            index = engine._compiled.index
            if ran % 3 == 0:
                index.forget()
            index.evaluate({"cluster": {"name": "c"}, "process": {"exe": f"/bin/{ran % 5}"}, "pod": {"name": "p"}})

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(400):
            Garbage()
            if number % 2:
                engine._compiled.index.forget()
            event = {"cluster": {"name": "c"}, "process": {"exe": f"/bin/{number % 200}"}}
            plan = engine.evaluate(event)
            assert len(plan.policies) == 200
            assert [source.policy for source in plan[0].sources] == [f"p{number % 200}"]
    finally:
        gc.set_threshold(*threshold)
    assert ran > 200
