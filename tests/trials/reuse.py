"""PID reuse, for real: the victim's number is an innocent's before it is acted on. Runs in a PID namespace of its own.

Half of the trials hand the number over between decision and execution, half between resolving and acting. Victim and
innocent each lead a session and group of their own, so the number of the group is handed over too. With ``--plain`` a
``kill(pid)`` after a check stands in place of ours, as others do it: then innocents die, or the trials prove nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from typing import Any

import spyderresp
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result
from spyderresp.execution.steps import Step
from spyderresp.executors import LocalHost
from trials import namespace
from trials.events import PROC, engine_for, event_of, guard

# One that nobody else is likely to set meanwhile.
_NICE = 17
ENGINES = {
    "process": engine_for("agentKillProcess"),
    "group": engine_for("agentKillProcessGroup"),
    "tree": engine_for("agentKillProcessTree"),
    "renice": engine_for("agentReniceProcess", priority=_NICE),
}

ACTIONS = LocalHost("rig-host").actions


class Plain:
    """What others do: look at the number, then kill the number."""

    name = "plain"
    actions = ACTIONS

    def resolve(self, step: Step, protection: Protection) -> Any:
        pid = step.value("process.pid")
        assert isinstance(pid, int)
        return _Number(pid) if PROC.stat(pid) is not None else Result("already")

    def close(self) -> None: ...


class _Number:
    namespace = None

    def __init__(self, pid: int) -> None:
        self.facts: dict[str, Any] = {}
        self.pid = pid
        self.identity = str(pid)

    def act(self) -> Result:
        os.kill(self.pid, signal.SIGKILL)
        return Result("done")

    def release(self) -> None: ...


class Between:
    """Hands the number over after the target was resolved."""

    def __init__(self, inner: Any, hand_over: Any) -> None:
        self.name, self.actions = inner.name, inner.actions
        self._inner, self._hand_over = inner, hand_over

    def resolve(self, step: Step, protection: Protection) -> Any:
        held = self._inner.resolve(step, protection)
        self._hand_over()
        return held

    def close(self) -> None: ...


class Sleeper:
    """A process in a session of its own that answers when it is asked."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self._line.close()
            os.setsid()
            theirs.send(b".")
            while word := theirs.recv(1):
                theirs.send(word)
            os._exit(0)
        theirs.close()
        self._line.settimeout(240)
        self._line.recv(1)

    def answers(self) -> bool:
        """Tell whether it runs on. One that a signal is on its way to does not: it never gets back to its program."""
        try:
            self._line.send(b"?")
            return self._line.recv(1) == b"?"
        except OSError:
            return False

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._line.close()


def trial(executor: Any, engine: spyderresp.Engine, late: bool) -> tuple[str, bool, bool]:
    """Return the outcome, whether the number was handed over, and whether the innocent lives as before."""
    victim = Sleeper()
    plan = engine.evaluate(event_of(victim.pid))
    innocent = victim

    def hand_over() -> None:
        nonlocal innocent
        # A tick is 10 ms: the innocent may well start in the same one, and only the handle tells it from the victim.
        victim.end()
        namespace.hand_over(victim.pid)
        innocent = Sleeper()

    if not late:
        # Another tick, or it would be the same process by every fact that the kernel tells.
        time.sleep(0.011)
        hand_over()
    report = spyderresp.execute(plan, Between(executor, hand_over) if late else executor, guard())
    handed = innocent is not victim and innocent.pid == victim.pid
    untouched = innocent.answers() and os.getpriority(os.PRIO_PROCESS, innocent.pid) != _NICE
    innocent.end()
    return report[0].status, handed, untouched


def inside(trials: int, what: str, *, plain: bool) -> dict[str, Any]:
    executor: Any = Plain() if plain else LocalHost("rig-host")
    outcomes: Counter[str] = Counter()
    wrong = handed = 0
    for number in range(trials):
        status, was_handed, untouched = trial(executor, ENGINES[what], late=number % 2 == 1)
        outcomes[status] += 1
        handed += was_handed
        wrong += not untouched
    return {"trials": trials, "handed_over": handed, "wrong_kills": wrong, "outcomes": dict(outcomes)}


def add_parser(verbs: Any) -> None:
    parser = verbs.add_parser("reuse", help="hand a victim's pid to an innocent before it is acted on")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--what", choices=sorted(ENGINES), default="process", help="what is done to the victim")
    parser.add_argument("--plain", action="store_true", help="kill(pid) in place of ours: innocents must die")


def run(args: argparse.Namespace) -> int:
    given = ["--trials", str(args.trials), "--what", args.what, *(["--plain"] if args.plain else [])]
    done = namespace.run("trials.reuse", given, timeout=3600)
    sys.stderr.write(done.stderr)
    print(done.stdout, end="")
    if done.returncode:
        return done.returncode
    said = json.loads(done.stdout)
    right = said["wrong_kills"] > 0 if args.plain else said["wrong_kills"] == 0
    return 0 if right and said["handed_over"] > 0.9 * said["trials"] else 1


if __name__ == "__main__":
    own = argparse.ArgumentParser()
    own.add_argument("--trials", type=int, required=True)
    own.add_argument("--what", default="process")
    own.add_argument("--plain", action="store_true")
    chosen = own.parse_args()
    print(json.dumps(inside(chosen.trials, chosen.what, plain=chosen.plain)))
