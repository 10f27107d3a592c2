"""The wide selector: a policy that kills ``exe: "*"`` meets thousands of processes. Runs in a PID namespace of its own.

Each life of the service is a process that is killed with SIGKILL in the middle; the next one goes on with the same
journal. What counts is how many processes are dead in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import spyderresp
from spyderresp.executors import JsonLines, LocalHost
from spyderresp.guards import Guard, Limits
from spyderresp.journal import Journal
from trials import namespace
from trials.events import PROC, engine_for, event_of

ENGINE = engine_for("agentKillProcess")


def sleepers(count: int) -> list[int]:
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        pids.append(pid)
    return pids


def life(folder: str, pids: list[int], limits: Limits, *, killed: bool) -> Counter[str]:
    """Execute a plan for every process, as one life of a service; ends itself by SIGKILL where that is wanted."""
    outcomes: Counter[str] = Counter()
    with Journal(Path(folder, "journal.sqlite")) as journal:
        executors = [LocalHost("rig-host"), JsonLines(Path(folder, "flags.jsonl"))]
        guard = Guard(kill_switch=None, limits=limits)
        for number, pid in enumerate(pids):
            look = PROC.stat(pid)
            if look is None or look.dead:
                continue
            event = {**event_of(pid), "id": f"{os.getpid()}-{pid}"}
            report = spyderresp.execute(ENGINE.evaluate(event), executors, guard, journal, event=event)
            outcomes[report[0].status] += 1
            if killed and number == len(pids) // 2:
                os.kill(os.getpid(), signal.SIGKILL)
    return outcomes


def inside(count: int, lives: int, warm_up: bool) -> dict[str, Any]:
    limits = Limits() if warm_up else Limits(warm_up_seconds=0)
    pids = sleepers(count)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(lives):
            pid = os.fork()
            if pid == 0:
                outcomes = life(folder, pids, limits, killed=number < lives - 1)
                Path(folder, "outcomes").write_text(json.dumps(outcomes))
                os._exit(0)
            os.waitpid(pid, 0)
        outcomes = json.loads(Path(folder, "outcomes").read_text())
        flags = [json.loads(line) for line in Path(folder, "flags.jsonl").read_text().splitlines()]
    dead = sum(os.waitpid(pid, os.WNOHANG) != (0, 0) for pid in pids)
    return {
        "processes": count,
        "lives": lives,
        "killed": dead,
        "limit": limits.warm_up if warm_up else limits.policy,
        "seconds": round(time.monotonic() - began, 1),
        "last_life": outcomes,
        "ops_flags": len(flags),
    }


def add_parser(verbs: Any) -> None:
    parser = verbs.add_parser("accident", help="a wide selector meets thousands of processes")
    parser.add_argument("--processes", type=int, default=5_000)
    parser.add_argument("--lives", type=int, default=4, help="how often the service is killed and started, plus one")
    parser.add_argument("--no-warm-up", action="store_true", help="as after the first minute")


def run(args: argparse.Namespace) -> int:
    given = [str(args.processes), str(args.lives), "" if args.no_warm_up else "warm"]
    done = namespace.run("trials.accident", given, timeout=3600)
    sys.stderr.write(done.stderr)
    print(done.stdout, end="")
    if done.returncode:
        return done.returncode
    said = json.loads(done.stdout)
    return 0 if said["killed"] <= said["limit"] and said["ops_flags"] else 1


if __name__ == "__main__":
    print(json.dumps(inside(int(sys.argv[1]), int(sys.argv[2]), bool(sys.argv[3]))))
