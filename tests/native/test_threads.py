"""Threads that decide while another replaces the policies, and processes that fork."""

from __future__ import annotations

import functools
import gc
import operator
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from plans import core

import spyderresp
from spyderresp.decision import reference
from spyderresp.decision._plan import PlanBuilder
from spyderresp.decision._spec import IndexSpec
from spyderresp.policies._model import digest

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
        while not failures and (swaps < 300 or min(decided) < 20 or seen != set(sets)):
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


def test_compiling_makes_next_to_nothing_for_the_garbage_collector() -> None:
    """A full collection would keep all threads waiting for as long as it takes to look through the host's objects."""
    old, new = policies("x", 2), policies("y", 2_000)
    engine = spyderresp.Engine(old)
    begun: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            begun.append(info["generation"])

    thresholds = gc.get_threshold()
    gc.collect()
    gc.callbacks.append(note)
    try:
        gc.set_threshold(100, 1_000, 1_000)
        engine.replace(new)
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(note)
    assert len(begun) <= 3


MANY = policies("y", 10_000)


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(functools.partial(digest, MANY.policies), id="digest"),
        pytest.param(functools.partial(IndexSpec, MANY.policies, True), id="numbering"),
        pytest.param(functools.partial(PlanBuilder, MANY.policies, "always", False), id="actions"),
    ],
)
def test_other_threads_have_their_turn_in_native_code(work: functools.partial[Any]) -> None:
    counted = [0]
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1

    before = after = 0
    thread = threading.Thread(target=count)
    read = functools.partial(operator.getitem, counted, 0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        while not counted[0]:
            pass
        for _ in range(100):
            # One call, in which no bytecode is run but what the work itself runs.
            before, _, after = list(map(functools.partial.__call__, (read, work, read)))
            if after > before:
                break
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert after > before


class StopError(Exception):
    """Raised by a signal's handler."""


def test_an_interrupted_replace_leaves_the_old_policies() -> None:
    """A compile sees signals, and so lets other threads run, though it is native throughout."""
    old, new = policies("x", 2), policies("y", 20_000)
    engine = spyderresp.Engine(old)

    def interrupt(*_: Any) -> None:
        raise StopError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        engine.replace(new)
    except StopError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert engine.policies is old
    assert engine.evaluate(EVENT).policies == ("x0", "x1")


def test_what_was_replaced_is_given_back() -> None:
    engine = spyderresp.Engine(policies("x", 100))
    plans = [engine.evaluate(event) for event in EVENTS]
    held = engine.policies.policies[50]
    assert sys.getrefcount(held) > 2
    engine.replace(policies("y", 100))
    assert len(plans) == len(EVENTS)
    # This name, and the call's own.
    assert sys.getrefcount(held) == 2


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
    done = subprocess.run(command, input=data, capture_output=True, check=True, timeout=240, cwd=tmp_path)
    assert done.stdout.decode().splitlines() == wanted
