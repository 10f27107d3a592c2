"""Threads that decide while another replaces the policies, and processes that fork."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from plans import core

import spyderresp
from spyderresp import reference
from spyderresp._native.json_reader import read_json

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


EVENTS = [
    {"cluster": {"name": name}, "process": {"name": "sh", "pid": 7}, "id": f"e{number}", **more}
    for number, name in enumerate(("a", "ab", "b", "abc"))
    for more in ({}, {"policy_name": "x1"}, {"policy_name": "y4"}, {"process": None})
]


def test_every_plan_is_of_one_policy_set() -> None:
    """Each is the oracle's for the set that it names: never of a mixture of the two."""
    sets = {each.digest: each for each in (policies("x", 3), policies("y", 5))}
    wanted = {digest: [reference.evaluate(each, event) for event in EVENTS] for digest, each in sets.items()}
    engine = spyderresp.Engine(next(iter(sets.values())))
    stop = threading.Event()
    failures: list[Any] = []
    seen: set[str] = set()
    decided = [0] * 4

    def decide(thread: int) -> None:
        try:
            while not stop.is_set():
                for place, event in enumerate(EVENTS):
                    plan = engine.evaluate(event)
                    seen.add(plan.policy_set)
                    assert core(plan.to_dict()) == wanted[plan.policy_set][place]
                # All of one batch, and an explanation with its plan, are decided by one set.
                (digest,) = {plan.policy_set for plan in engine.evaluate_many(EVENTS)}
                said = engine.explain(EVENTS[0])
                assert len(said.policies) == len(sets[said.plan.policy_set])
                assert len(sets[digest]) in (3, 5)
                decided[thread] += 1
        except Exception as error:  # noqa: BLE001  (handed to the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        swaps = 0
        while not failures and (swaps < 300 or min(decided) < 20):
            engine.replace(list(sets.values())[swaps % 2])
            swaps += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert failures == []
    assert seen == set(sets)


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
    wanted = [engine.evaluate(event).to_json() for event in EVENTS]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            same = [engine.evaluate(event).to_json() for event in EVENTS] == wanted
            engine.replace(policies("y", 5))
            code = 0 if same and engine.evaluate(EVENTS[0]).policies == ("y0", "y1", "y2", "y3", "y4") else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [engine.evaluate(event).to_json() for event in EVENTS] == wanted


def test_a_pickled_engine_decides_the_same_in_another_process(tmp_path: Path) -> None:
    engine = spyderresp.Engine(policies("x", 2), defaults="unless-overridden", not_in="documented", mode="audit")
    wanted = [engine.evaluate(event).to_json() for event in EVENTS]
    data = pickle.dumps((engine, EVENTS))
    # Policies and options, not the index.
    assert len(pickle.dumps(engine)) < 10_000
    program = """
import pickle, sys
engine, events = pickle.load(sys.stdin.buffer)
print("\\n".join(engine.evaluate(event).to_json() for event in events))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=data, capture_output=True, check=True, timeout=60, cwd=tmp_path)
    assert done.stdout.decode().splitlines() == wanted


def test_a_large_load_lets_other_threads_run() -> None:
    """Native reading pauses now and then, within one text too."""
    document = json.dumps(
        {
            "apiVersion": "spyderbat/v1",
            "kind": "SpyderbatPolicy",
            "metadata": {"name": "p", "type": "cluster"},
            "spec": {"mode": "enforce", "clusterSelector": {"name": "a*"}, "rulesets": ["x"] * 200},
        }
    )
    text = f"[{','.join(document for _ in range(4_000))}]"
    ticks = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.0005):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    begin = time.monotonic()
    tree = read_json(text)
    end = time.monotonic()
    stop.set()
    thread.join()
    assert len(tree.plain()) == 4_000
    assert sum(begin < at < end for at in ticks) >= 3
