"""Whole processes: import, the ``plan`` command, instructions an ``evaluate``, and a reader while policies change."""

from __future__ import annotations

import functools
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from environment import HERE, child_environment
from instructions import instructions as counted
from workloads import decoder, synthetic

import spyderresp
from rows.model import Figure, Settings, not_run

_EXAMPLES = HERE.parent / "examples"
_POLICIES = 1_000


def start_up(settings: Settings) -> Iterator[Figure]:
    """Yield what ``import spyderresp`` and the ``plan`` command on the examples take: CPU time of whole processes."""
    runs = 7 if settings.quick else 21
    plan = ["-m", "spyderresp", "plan", "--policies", str(_EXAMPLES / "policies"), str(_EXAMPLES / "events.jsonl")]
    costs: dict[str, list[float]] = {"empty": [], "import": [], "plan": []}
    commands = {"empty": ["-c", "pass"], "import": ["-c", "import spyderresp"], "plan": plan}
    for number in range(runs + 1):
        for name, arguments in commands.items():
            taken = _child_time([sys.executable, *arguments])
            # The first writes the byte code of the others.
            if number:
                costs[name].append(taken)
    median = {name: statistics.median(cost) for name, cost in costs.items()}
    yield Figure(
        "import spyderresp, beyond an empty interpreter",
        median["import"] - median["empty"],
        unit="ms",
        must=80.0,
        aim=40.0,
        detail={"whole process, ms": median["import"], "empty interpreter, ms": median["empty"]},
    )
    yield Figure("spyderresp plan on the example, whole process", median["plan"], unit="ms", must=250.0, aim=150.0)


def _child_time(command: list[str]) -> float:
    """Return the CPU time of a child in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=child_environment(), cwd="/")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def instructions(_: Settings) -> Iterator[Figure]:
    """Yield what callgrind counts for an ``evaluate``."""
    for stream in ("repeating", "never-seen"):
        label = f"instructions an evaluate, {_POLICIES:,} policies, {stream}"
        if shutil.which("valgrind") is None:
            yield not_run(label, "valgrind is not installed")
            continue
        judged = stream == "repeating"
        yield Figure(
            label,
            counted("evaluate", stream, _POLICIES),
            unit="instructions",
            must=8_000.0 if judged else None,
            aim=5_000.0 if judged else None,
            note="the same on every run of one build",
            detail={"with its plan walked": counted("walk", stream, _POLICIES)} if judged else {},
        )


def replace(settings: Settings) -> Iterator[Figure]:
    """Yield the swap, and how long a reader waits while another thread replaces the policies."""
    size = 10_000 if 10_000 in settings.sizes else max(settings.sizes)
    workload, few = synthetic(size), synthetic(12).policies
    few.digest
    engine = _Timed(workload.policies)
    swaps, wholes = [], []
    for _ in range(5 if settings.quick else 15):
        engine.replace(spyderresp.loads(workload.text))
        begun = time.perf_counter()
        engine.replace(few)
        wholes.append((time.perf_counter() - begun) * 1e3)
        swaps.append((engine.swapped - engine.compiled) * 1e3)
    yield Figure(
        "replace, the swap itself",
        statistics.median(swaps),
        unit="ms",
        must=1.0,
        aim=0.1,
        note="from the end of the compile until the new policies decide",
        detail={
            f"replace from {size:,} policies to 12, all of the old given back, ms": statistics.median(wholes),
        },
    )
    decode = decoder()
    events = [decode(text) for text in workload.repeating(2_000)]
    interval = sys.getswitchinterval() * 1e3

    def busy() -> None:
        total = 0
        ends = time.perf_counter() + 1.0
        while time.perf_counter() < ends:
            total += 1

    control = [_longest_pause(engine.evaluate, events, busy) for _ in range(3)]
    pauses = []
    for _ in range(3 if settings.quick else 7):
        # Read anew, so that the old ones are given back whole, and the new ones' digest is taken.
        replacing = functools.partial(_replace, engine, [spyderresp.loads(workload.text)])
        pauses.append(_longest_pause(engine.evaluate, events, replacing))
    yield Figure(
        f"longest pause of a reader during replace, {size:,} policies, beyond the switch interval",
        max(0.0, statistics.median(pauses) - interval),
        unit="ms",
        must=5.0,
        aim=1.0,
        note=f"on the clock; beside a thread of plain Python it is {statistics.median(control) - interval:.1f} ms",
        detail={"longest of all, ms": max(pauses)},
    )


class _Timed(spyderresp.Engine):
    """Notes when it has compiled, and when it has swapped."""

    compiled = swapped = 0.0

    def _compile(self, policies: spyderresp.PolicySet) -> Any:
        compiled = super()._compile(policies)
        self.compiled = time.perf_counter()
        return compiled

    def _serve(self, index: Any) -> None:
        super()._serve(index)
        self.swapped = time.perf_counter()


def _replace(engine: spyderresp.Engine, policies: list[spyderresp.PolicySet]) -> None:
    """Replace by policies that nobody else holds."""
    engine.replace(policies.pop())


def _longest_pause(evaluate: object, events: list[object], other: object) -> float:
    """Return the longest time between two answers to a reader, in milliseconds, while another thread does something."""
    thread = threading.Thread(target=other)  # type: ignore[arg-type]
    thread.start()
    longest, last = 0.0, time.perf_counter()
    while thread.is_alive():
        for event in events:
            evaluate(event)  # type: ignore[operator]
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
            if not thread.is_alive():
                break
    thread.join()
    return longest * 1e3
