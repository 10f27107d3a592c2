"""kill -9 at every step boundary of execute and journal, restart, reconcile: was a step doubled, lost or left open?

A trial is a series of lives of one service over one journal, each a process of its own. All but the last are ended by a
real SIGKILL: at a boundary (after a call of an executor, a sink, the journal, or SQLite), or at a random
moment. The last one reconciles and ends well. Then what happened is counted from what the executors did.

``--control`` breaks the service on purpose, and the rig must then find faults, or it proves nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import spyderresp
from spyderresp.execution.backoff import Backoff
from spyderresp.guards import Guard, Limits
from spyderresp.journal import Journal, JournalReader, verify
from spyderresp.journal import journal as journal_module
from spyderresp.journal import schema as schema_module
from trials import namespace
from trials.crash_world import Connection, Files, Flags, Fuse, Pods, Real, Targets, lines

POLICY = """
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: kill, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: rig}}
  response:
    default:
      - makeRedFlag: {severity: high, content: seen}
      - agentKillProcess: {}
      - agentKillPod: {}
"""
CONTROLS = ("blind", "forgetful", "journal-free")
SINKS = ("near", "far")
_FAULT = 70


@dataclass(frozen=True)
class Trial:
    """What is tried.

    Attributes:
        ends: for each life but the last the boundary at which it ends; negative: after so many microseconds.
        redeliver: whether events that may not have been taken come again in later lives, as from a broker.
        control: what is broken on purpose, or empty.
        threads: how many threads execute.
        events: how many there are, each with a flag and two actions.
        targets: what there is to kill.
    """

    ends: tuple[int, ...] = ()
    redeliver: bool = True
    control: str = ""
    threads: int = 1
    events: int = 4
    targets: type[Files | Real] = Files


@dataclass
class Tally:
    """What came of trials."""

    trials: int = 0
    kills: int = 0
    lives: int = 0
    faults: list[str] = field(default_factory=list)


def live(place: Path, trial: Trial, targets: Targets, events: list[dict[str, Any]], at: int, *, first: bool) -> int:
    """Be the service once; return how many boundaries there were."""
    fuse = Fuse(max(at, 0))
    connect = schema_module.connect
    fuse.hit()

    def fused(*given: Any, **named: Any) -> Any:
        try:
            return Connection(connect(*given, **named), fuse)
        finally:
            fuse.hit()

    schema_module.connect = journal_module.connect = fused  # type: ignore[attr-defined, assignment]
    fuse.fit(os, "fsync")
    fuse.fit(signal, "pidfd_send_signal")
    Path.replace = fuse.around(Path.replace)  # type: ignore[method-assign]
    executors: list[Any] = [
        targets.executor(place, fuse, blind=trial.control == "blind"),
        Pods(place, fuse),
        Flags(place, "near", local=True),
        Flags(place, "far", local=False),
    ]
    for executor in executors:
        fuse.fit(executor, "resolve", *(["deliver"] if hasattr(executor, "deliver") else []))
    engine = spyderresp.Engine(spyderresp.loads(POLICY))
    guard = Guard(kill_switch=None, limits=Limits(1000, 1000, 1000, warm_up_seconds=0.0))
    plans = engine.evaluate_many(events)
    if trial.control == "journal-free":
        for plan in plans if first or trial.redeliver else ():
            spyderresp.execute(plan, executors, guard)
        return fuse.count
    with Journal(place / "journal.sqlite", backoff=Backoff(first=0.01, longest=0.05, attempts=None)) as journal:
        fuse.fit(journal, "earlier", "begin", "finish", "settle", "deliver_now", "guard_state", "open_steps", "rotate")
        journal.record_policies(plans[0].policy_set, ["policies/"], policies=1)
        if not first and trial.control != "forgetful":
            spyderresp.reconcile(executors, journal, guard)
        if first or trial.redeliver:
            middle = len(plans) // 2

            def work(number: int) -> None:
                for plan in plans[number : middle : trial.threads]:
                    spyderresp.execute(plan, executors, guard, journal)

            threads = [threading.Thread(target=work, args=(number,)) for number in range(1, trial.threads)]
            for thread in threads:
                thread.start()
            work(0)
            for thread in threads:
                thread.join()
            journal.rotate()
            spyderresp.execute_many(plans[middle:], executors, guard, journal)
        elif not first:
            journal.rotate()
    return fuse.count


def life(place: Path, trial: Trial, targets: Targets, events: list[dict[str, Any]], at: int, *, first: bool) -> str:
    """Run a life as a process of its own; return how it ended: ``killed``, ``ended`` or what went wrong."""
    child = os.fork()
    if child == 0:
        code = _FAULT
        try:
            count = live(place, trial, targets, events, at, first=first)
            (place / "boundaries").write_text(str(count))
            code = 0
        except BaseException:  # noqa: BLE001 - the parent is told
            (place / "trace").write_text(traceback.format_exc())
        finally:
            os._exit(code)
    if at < 0:
        time.sleep(-at / 1e6)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "killed"
    return "ended" if os.WEXITSTATUS(status) == 0 else (place / "trace").read_text()


def prepared() -> Path:
    # What SIGKILL leaves does not depend on the disk; memory is faster.
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="spyderresp-crash-", dir=memory if memory.is_dir() else None))


def tried(trial: Trial, tally: Tally) -> None:
    """Run a trial, and note what is wrong after it."""
    place, targets = prepared(), trial.targets()
    events = targets.prepare(place, trial.events)
    tally.trials += 1
    try:
        for number, at in enumerate((*trial.ends, 0)):
            ending = life(place, trial, targets, events, at, first=number == 0)
            tally.lives += 1
            tally.kills += ending == "killed"
            if ending not in ("killed", "ended"):
                tally.faults.append(f"{trial}: life {number + 1} failed: {ending}")
                return
            targets.between()
        tally.faults += [f"{trial}: {fault}" for fault in faults(place, trial, targets, events)]
    finally:
        targets.clear()
        shutil.rmtree(place)


def faults(place: Path, trial: Trial, targets: Targets, events: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with what was done."""
    journaled = trial.control != "journal-free"
    begun: dict[str, Counter[str]] = {}
    if journaled:
        checked = verify(place / "journal.sqlite")
        yield from checked.problems
        begun = _begun(place)
        with Journal(place / "journal.sqlite") as journal:
            for item in journal.open_steps():
                yield f"left open: {item.step.action} of {item.step.event}"
            for sink, count in journal.owed().items():
                yield f"{sink} is still owed {count}"
    # Without redelivery only what was written before it was tried must have happened.
    wanted = {str(event["id"]) for event in events}
    kills = wanted if trial.redeliver else set(begun.get("agentKillProcess", ()))
    flags = wanted if trial.redeliver else set(begun.get("makeRedFlag", ()))
    if wrong := targets.wrong():
        yield f"acted on what was not the target: {wrong}"
    dead = targets.dead()
    for event in sorted(kills - dead):
        yield f"kill lost: {event}"
    if dead - kills:
        yield f"killed and not written down before: {dead - kills}"
    pods = Counter(lines(place / "pods"))
    tries = begun.get("agentKillPod", Counter())
    for event in sorted(wanted if trial.redeliver else set(tries)):
        count = pods[f"k{event[1:]}"]
        if not count:
            yield f"pod lost: {event}"
        # A target that never goes is acted on once more when a crash left its step open; each time it is claimed anew.
        if count > (tries[event] if journaled else 1):
            yield f"pod doubled: {event} was acted on {count} times and begun {tries[event]} times"
    told = [set(lines(place / sink)) for sink in SINKS]
    if told[0] != told[1]:
        yield f"flags differ by sink: {told[0] ^ told[1]}"
    if len(told[0]) != len(flags):
        yield f"{len(flags)} flags and {len(told[0])} ids arrived"


def _begun(place: Path) -> dict[str, Counter[str]]:
    """Return by action how often each event's step was begun."""
    found: dict[str, Counter[str]] = {}
    with JournalReader(place / "journal.sqlite") as reader:
        for entry in reader.entries():
            if entry.kind == "intent":
                step = entry.body["step"]
                found.setdefault(step["action"], Counter())[step["event"]] += 1
    return found


def boundaries(trial: Trial) -> int:
    """Return how many boundaries the life after ``trial.ends`` has."""
    place, targets = prepared(), trial.targets()
    events = targets.prepare(place, trial.events)
    try:
        for number, at in enumerate((*trial.ends, 0)):
            ending = life(place, trial, targets, events, at, first=number == 0)
            targets.between()
        if ending != "ended":
            raise SystemExit(f"a life without a crash does not end well: {ending}")
        return int((place / "boundaries").read_text())
    finally:
        targets.clear()
        shutil.rmtree(place)


def every_boundary(plain: Trial, stride: int, second: int) -> Iterator[Trial]:
    """Yield trials that end the first life at each boundary; for some of these also the second, at each of its own."""
    count = boundaries(plain)
    for redeliver in (True, False):
        for at in range(1, count + 1, stride):
            yield replace(plain, ends=(at,), redeliver=redeliver)
    for at in (count // 4, count // 2, 3 * count // 4):
        crashed = replace(plain, ends=(at,), redeliver=False)
        for then in range(1, boundaries(crashed) + 1, second):
            yield replace(crashed, ends=(at, then))


def at_random(plain: Trial, trials: int, seed: int) -> Iterator[Trial]:
    """Yield trials that end lives at random moments and boundaries, with several threads."""
    draw = random.Random(seed)
    busy = replace(plain, threads=4, events=12)
    count = boundaries(busy)
    for _ in range(trials):
        ends = tuple(
            draw.randrange(1, count) if draw.random() < 0.5 else -draw.randrange(1, 80_000)
            for _ in range(draw.randrange(1, 4))
        )
        yield replace(busy, ends=ends, redeliver=draw.random() < 0.5)


def add_parser(verbs: Any) -> None:
    """Add the rig's command."""
    parser = verbs.add_parser("crash", help="kill -9 at every step boundary", description=__doc__.partition("\n")[0])
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--stride", type=int, default=1, help="try each so-manieth boundary (default: 1, every one)")
    parser.add_argument("--second", type=int, default=1, help="the same, for crashes of the life that reconciles")
    parser.add_argument("--random", type=int, default=0, help="so many trials at random boundaries and moments besides")
    parser.add_argument("--seed", type=int, default=0, help="for those (default: drawn)")
    parser.add_argument("--control", choices=CONTROLS, default="", help="break the service: faults must be found")
    parser.add_argument("--real", action="store_true", help="real processes, by LocalHost, in a PID namespace")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Run the rig; exit with 0 where it found what it should."""
    if args.real and not args.inside:
        given = [f"--{name}={getattr(args, name)}" for name in ("stride", "second", "random", "seed")]
        done = namespace.run("trials.crash", [*given, "--real", "--inside"], timeout=3600)
        sys.stderr.write(done.stderr)
        print(done.stdout, end="")
        return done.returncode
    seed = args.seed or random.SystemRandom().randrange(1, 1 << 30)
    plain = Trial(control=args.control, targets=Real if args.real else Files)
    tally = Tally()
    started = time.monotonic()
    for trial in every_boundary(plain, args.stride, args.second):
        tried(trial, tally)
    for trial in at_random(plain, args.random, seed) if args.random else ():
        tried(trial, tally)
    said = {
        "rig": "crash",
        "targets": "real" if args.real else "files",
        "control": args.control,
        "trials": tally.trials,
        "lives": tally.lives,
        "killed": tally.kills,
        "faults": len(tally.faults),
        "boundaries": boundaries(plain),
        "seed": seed if args.random else None,
        "seconds": round(time.monotonic() - started, 1),
    }
    for fault in tally.faults[:10]:
        print(fault)
    print(json.dumps(said))
    return int(bool(tally.faults) == (args.control == ""))


if __name__ == "__main__":
    own = argparse.ArgumentParser()
    add_options(own)
    sys.exit(run(own.parse_args()))
