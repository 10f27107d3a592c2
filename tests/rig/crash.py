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
import sqlite3
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import spyderresp
from spyderresp.executors.backoff import Backoff
from spyderresp.guards import Guard, Limits
from spyderresp.journal import Journal, JournalReader, verify
from spyderresp.journal import journal as journal_module
from spyderresp.journal import schema as schema_module
from spyderresp.report import Result
from spyderresp.steps import Step

POLICY = """
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: kill, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: c}}
  response:
    default:
      - makeRedFlag: {severity: high, content: seen}
    actions:
      - agentKillProcess: {processSelector: {matchFields: {name: evil}}}
      - agentKillPod: {processSelector: {matchFields: {name: evil}}}
"""
CONTROLS = ("blind", "forgetful", "journal-free")
SINKS = ("near", "far")
_FAULT = 70


class Fuse:
    """Counts boundaries; the process ends at the one it was set to (0: at none)."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0
        self._lock = threading.Lock()

    def hit(self) -> None:
        with self._lock:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function with a boundary after it: that is the one before whatever touches the world next."""

        def wrapped(*given: Any, **named: Any) -> Any:
            try:
                return function(*given, **named)
            finally:
                self.hit()

        return wrapped

    def fit(self, thing: Any, *names: str) -> None:
        for name in names:
            setattr(thing, name, self.around(getattr(thing, name)))


# Within a transaction nothing reaches the journal before its end: one boundary is enough there, after its entries.
_WITHIN = ("SELECT", "INSERT", "UPDATE", "DELETE")


class Connection:
    """A connection to SQLite with a boundary after each statement that is more than a part of a transaction."""

    def __init__(self, inner: sqlite3.Connection, fuse: Fuse) -> None:
        self._inner = inner
        self._fused = fuse.around(inner.execute)
        self.executemany = fuse.around(inner.executemany)
        self.close = fuse.around(inner.close)

    def execute(self, statement: str, *values: Any) -> Any:
        within = statement.lstrip().startswith(_WITHIN)
        return (self._inner.execute if within else self._fused)(statement, *values)

    @property
    def in_transaction(self) -> bool:
        return self._inner.in_transaction


def note(path: Path, text: str) -> None:
    """Append in one write: what stands there happened, whatever ends this process next."""
    place = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(place, text.encode())
    finally:
        os.close(place)


class Processes:
    """Kills verified processes, which are files here: a killed one is gone, and some pids are somebody else's next."""

    name = "local"
    actions = frozenset({"agentKillProcess"})

    def __init__(self, place: Path, fuse: Fuse, *, blind: bool) -> None:
        self.place = place
        self.fuse = fuse
        self.blind = blind

    def resolve(self, step: Step, protection: object) -> Any:
        pid, ticks = step.value("process.pid"), str(step.value("process.start_ticks"))
        try:
            found = (self.place / "alive" / str(pid)).read_text()
        except FileNotFoundError:
            found = ""
        if not self.blind and found != ticks:
            return Result("mismatch", "another process") if found else Result("already", "no such process")
        held = Process(self, str(pid), ticks)
        self.fuse.fit(held, "act", "release")
        return held

    def close(self) -> None: ...


class Process:
    namespace = None

    def __init__(self, owner: Processes, pid: str, ticks: str) -> None:
        self.owner, self.pid, self.ticks = owner, pid, ticks
        self.identity = f"process:{pid}:{ticks}"
        self.facts = {"pid": pid}

    def act(self) -> Result:
        alive, dead = self.owner.place / "alive" / self.pid, self.owner.place / "dead" / f"{self.pid}.{self.ticks}"
        try:
            right = alive.read_text() == self.ticks
            alive.rename(dead)
        except FileNotFoundError:
            right = False
        if not right:
            note(self.owner.place / "wrong", f"{self.pid}\n")
        if int(self.pid) % 2:
            alive.write_text("another")
        return Result("done")

    def release(self) -> None: ...


class Pods:
    """Its targets are always there, so that only the journal keeps it from acting twice."""

    name = "pods"
    actions = frozenset({"agentKillPod"})

    def __init__(self, place: Path, fuse: Fuse) -> None:
        self.place = place
        self.fuse = fuse

    def resolve(self, step: Step, protection: object) -> Any:
        pod = Pod(self.place, str(step.value("pod.kuid")))
        self.fuse.fit(pod, "act", "release")
        return pod

    def close(self) -> None: ...


class Pod:
    namespace = None

    def __init__(self, place: Path, kuid: str) -> None:
        self.place, self.kuid = place, kuid
        self.identity = f"pod:{kuid}"
        self.facts: dict[str, Any] = {}

    def act(self) -> Result:
        note(self.place / "pods", f"{self.kuid}\n")
        return Result("done")

    def release(self) -> None: ...


class Flags:
    """A sink: one line for each flag's id."""

    actions = frozenset({"makeRedFlag", "makeOpsFlag"})

    def __init__(self, place: Path, name: str, *, local: bool) -> None:
        self.place, self.name, self.local = place, name, local

    def resolve(self, step: Step, protection: object) -> Result:
        return Result("failed")

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        note(self.place / self.name, "".join(f"{record['id']}\n" for record in records))

    def offer(self, records: list[Mapping[str, Any]]) -> None:
        self.deliver(records)

    def close(self) -> None: ...


def events_of(count: int) -> list[dict[str, Any]]:
    """Return events of this moment: none of them expires within a trial."""
    return [
        {
            "id": f"e{number}",
            "time": time.time(),
            "cluster": {"name": "c"},
            "pod": {"name": f"p{number}", "kuid": f"k{number}"},
            "process": {"name": "evil", "pid": number, "start_ticks": 1000 + number},
        }
        for number in range(2, 2 + count)
    ]


@dataclass(frozen=True)
class Trial:
    """What is tried.

    Attributes:
        ends: for each life but the last the boundary at which it ends; negative: after so many microseconds.
        redeliver: whether events that may not have been taken come again in later lives, as from a broker.
        control: what is broken on purpose, or empty.
        threads: how many threads execute.
    """

    ends: tuple[int, ...]
    redeliver: bool = True
    control: str = ""
    threads: int = 1
    events: int = 4


@dataclass
class Tally:
    """What came of trials."""

    trials: int = 0
    kills: int = 0
    lives: int = 0
    faults: list[str] = field(default_factory=list)


def live(place: Path, trial: Trial, events: list[dict[str, Any]], at: int, *, first: bool) -> int:
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
    Path.replace = fuse.around(Path.replace)  # type: ignore[method-assign]
    executors: list[Any] = [
        Processes(place, fuse, blind=trial.control == "blind"),
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


def life(place: Path, trial: Trial, events: list[dict[str, Any]], at: int, *, first: bool) -> str:
    """Run a life as a process of its own; return how it ended: ``killed``, ``ended`` or what went wrong."""
    child = os.fork()
    if child == 0:
        code = _FAULT
        try:
            count = live(place, trial, events, at, first=first)
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


def prepared(events: list[dict[str, Any]]) -> Path:
    # What SIGKILL leaves does not depend on the disk; memory is faster.
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="spyderresp-crash-", dir=memory if memory.is_dir() else None))
    (place / "alive").mkdir()
    (place / "dead").mkdir()
    for event in events:
        process = event["process"]
        (place / "alive" / str(process["pid"])).write_text(str(process["start_ticks"]))
    return place


def tried(trial: Trial, tally: Tally) -> None:
    """Run a trial, and note what is wrong after it."""
    events = events_of(trial.events)
    place = prepared(events)
    tally.trials += 1
    try:
        for number, at in enumerate((*trial.ends, 0)):
            ending = life(place, trial, events, at, first=number == 0)
            tally.lives += 1
            tally.kills += ending == "killed"
            if ending not in ("killed", "ended"):
                tally.faults.append(f"{trial}: life {number + 1} failed: {ending}")
                return
        tally.faults += [f"{trial}: {fault}" for fault in faults(place, trial, events)]
    finally:
        shutil.rmtree(place)


def faults(place: Path, trial: Trial, events: list[dict[str, Any]]) -> Iterator[str]:
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
    wanted = {event["id"] for event in events}
    kills = wanted if trial.redeliver else set(begun.get("agentKillProcess", ()))
    flags = wanted if trial.redeliver else set(begun.get("makeRedFlag", ()))
    if (place / "wrong").exists():
        yield f"acted on what was not the target: {(place / 'wrong').read_text().split()}"
    dead = {f"e{path.name.split('.')[0]}" for path in (place / "dead").iterdir()}
    for event in sorted(kills - dead):
        yield f"kill lost: {event}"
    if dead - kills:
        yield f"killed and not written down before: {dead - kills}"
    pods = Counter(_lines(place / "pods"))
    tries = begun.get("agentKillPod", Counter())
    for event in sorted(wanted if trial.redeliver else set(tries)):
        count = pods[f"k{event[1:]}"]
        if not count:
            yield f"pod lost: {event}"
        # A target that never goes is acted on once more when a crash left its step open; each time it is claimed anew.
        if count > (tries[event] if journaled else 1):
            yield f"pod doubled: {event} was acted on {count} times and begun {tries[event]} times"
    told = [set(_lines(place / sink)) for sink in SINKS]
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


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def boundaries(trial: Trial) -> int:
    """Return how many boundaries the life after ``trial.ends`` has."""
    events = events_of(trial.events)
    place = prepared(events)
    try:
        for number, at in enumerate((*trial.ends, 0)):
            ending = life(place, trial, events, at, first=number == 0)
        if ending != "ended":
            raise SystemExit(f"a life without a crash does not end well: {ending}")
        return int((place / "boundaries").read_text())
    finally:
        shutil.rmtree(place)


def every_boundary(control: str, stride: int, second: int) -> Iterator[Trial]:
    """Yield trials that end the first life at each boundary; for some of these also the second, at each of its own."""
    count = boundaries(Trial((), control=control))
    for redeliver in (True, False):
        for at in range(1, count + 1, stride):
            yield Trial((at,), redeliver, control)
    for at in (count // 4, count // 2, 3 * count // 4):
        for then in range(1, boundaries(Trial((at,), False, control)) + 1, second):
            yield Trial((at, then), False, control)


def at_random(control: str, trials: int, seed: int) -> Iterator[Trial]:
    """Yield trials that end lives at random moments and boundaries, with several threads."""
    draw = random.Random(seed)
    count = boundaries(Trial((), control=control, threads=4, events=12))
    for _ in range(trials):
        ends = tuple(
            draw.randrange(1, count) if draw.random() < 0.5 else -draw.randrange(1, 80_000)
            for _ in range(draw.randrange(1, 4))
        )
        yield Trial(ends, draw.random() < 0.5, control, 4, 12)


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


def run(args: argparse.Namespace) -> int:
    """Run the rig; exit with 0 where it found what it should."""
    seed = args.seed or random.SystemRandom().randrange(1, 1 << 30)
    tally = Tally()
    started = time.monotonic()
    for trial in every_boundary(args.control, args.stride, args.second):
        tried(trial, tally)
    for trial in at_random(args.control, args.random, seed):
        tried(trial, tally)
    said = {
        "rig": "crash",
        "control": args.control,
        "trials": tally.trials,
        "lives": tally.lives,
        "killed": tally.kills,
        "faults": len(tally.faults),
        "boundaries": boundaries(Trial(())),
        "seed": seed if args.random else None,
        "seconds": round(time.monotonic() - started, 1),
    }
    for fault in tally.faults[:10]:
        print(fault)
    print(json.dumps(said))
    return int(bool(tally.faults) == (args.control == ""))


if __name__ == "__main__":
    parsed = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parsed)
    raise SystemExit(run(parsed.parse_args()))
