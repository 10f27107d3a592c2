"""Threads that decide while another replaces the policies, and processes that fork."""

from __future__ import annotations

import os
import threading
from typing import Any

import spyderresp

EVENT = {"cluster": {"name": "a"}, "process": {"name": "sh"}}


def policies(name: str, count: int) -> spyderresp.PolicySet:
    return spyderresp.from_documents(
        {
            "apiVersion": "spyderbat/v1",
            "kind": "SpyderbatPolicy",
            "metadata": {"name": f"{name}{number}", "type": "cluster"},
            "spec": {
                "mode": "enforce",
                "clusterSelector": {"name": "a*"},
                "response": {"default": [{"makeRedFlag": {"severity": "low", "impact": name}}]},
            },
        }
        for number in range(count)
    )


def test_every_plan_is_of_one_policy_set() -> None:
    sets = [policies("x", 3), policies("y", 5)]
    engine = spyderresp.Engine(sets[0])
    wanted = {each.digest: spyderresp.Engine(each).evaluate(EVENT).to_json() for each in sets}
    stop = threading.Event()
    failures: list[Any] = []
    seen: set[str] = set()

    def decide() -> None:
        while not stop.is_set():
            for plan in engine.evaluate_many([EVENT] * 50):
                seen.add(plan.policy_set)
                if plan.to_json() != wanted[plan.policy_set]:
                    failures.append(plan)
                    return

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(300):
        engine.replace(sets[number % 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert seen <= set(wanted)


def test_a_failed_replace_leaves_the_old_policies() -> None:
    engine = spyderresp.Engine(policies("x", 2))
    before = engine.evaluate(EVENT)
    for wrong in ([], None, "policies/"):
        try:
            engine.replace(wrong)  # type: ignore[arg-type]
        except TypeError:
            pass
        else:
            raise AssertionError("replaced")
    assert engine.evaluate(EVENT) == before


def test_a_fork_decides_the_same() -> None:
    engine = spyderresp.Engine(policies("x", 2))
    wanted = engine.evaluate(EVENT).to_json()
    child = os.fork()
    if child == 0:
        os._exit(0 if engine.evaluate(EVENT).to_json() == wanted else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
