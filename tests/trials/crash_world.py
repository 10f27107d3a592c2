"""What the crash rig acts on, and what counts its boundaries."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from spyderresp.execution.report import Result
from spyderresp.execution.steps import Step
from spyderresp.executors import LocalHost
from trials import namespace
from trials.events import event_of


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


class Targets(Protocol):
    """What there is to kill."""

    def prepare(self, place: Path, count: int) -> list[dict[str, Any]]:
        """Make so many, and return an event about each; all of this moment, so that none expires."""

    def executor(self, place: Path, fuse: Fuse, *, blind: bool) -> Any:
        """Return what kills them."""

    def between(self) -> None:
        """Look at what a life left behind."""

    def dead(self) -> set[str]:
        """Return the ids of the events whose targets were killed."""

    def wrong(self) -> str:
        """Return what was touched that no event meant, or an empty text."""

    def clear(self) -> None:
        """Take all away."""


class Files:
    """Processes that are files: a killed one is gone, and some numbers are somebody else's next."""

    def prepare(self, place: Path, count: int) -> list[dict[str, Any]]:
        self.place = place
        (place / "alive").mkdir()
        (place / "dead").mkdir()
        for number in range(2, 2 + count):
            (place / "alive" / str(number)).write_text(str(1000 + number))
        return [
            {
                "id": f"e{number}",
                "time": time.time(),
                "cluster": {"name": "rig"},
                "pod": {"name": f"p{number}", "kuid": f"k{number}"},
                "process": {"name": "evil", "pid": number, "start_ticks": 1000 + number},
            }
            for number in range(2, 2 + count)
        ]

    def executor(self, place: Path, fuse: Fuse, *, blind: bool) -> Any:
        return Processes(place, fuse, blind=blind)

    def between(self) -> None: ...

    def dead(self) -> set[str]:
        return {f"e{path.name.split('.')[0]}" for path in (self.place / "dead").iterdir()}

    def wrong(self) -> str:
        return " ".join(lines(self.place / "wrong"))

    def clear(self) -> None: ...


class Real:
    """Real processes in a PID namespace of their own, killed by ``LocalHost``; dead ones' numbers go to innocents."""

    def prepare(self, place: Path, count: int) -> list[dict[str, Any]]:
        self.victims: dict[str, int] = {}
        self.innocents: set[int] = set()
        self.ended: set[str] = set()
        self.killed_innocents: set[int] = set()
        events = []
        for number in range(2, 2 + count):
            pid = sleeper()
            self.victims[f"e{number}"] = pid
            more = {"id": f"e{number}", "time": time.time(), "pod": {"name": f"p{number}", "kuid": f"k{number}"}}
            events.append(event_of(pid, **more))
        # Another tick than the victims': the kernel tells processes apart by it.
        time.sleep(0.011)
        return events

    def executor(self, place: Path, fuse: Fuse, *, blind: bool) -> Any:
        return Fitted(LocalHost("rig-host"), fuse)

    def between(self) -> None:
        for event, pid in self.victims.items():
            if event not in self.ended and os.waitpid(pid, os.WNOHANG)[0] == pid:
                self.ended.add(event)
                namespace.hand_over(pid)
                innocent = sleeper()
                self.innocents.add(innocent)
        for pid in self.innocents - self.killed_innocents:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                self.killed_innocents.add(pid)

    def dead(self) -> set[str]:
        self.between()
        return self.ended

    def wrong(self) -> str:
        self.between()
        return " ".join(map(str, sorted(self.killed_innocents)))

    def clear(self) -> None:
        for event, pid in self.victims.items():
            if event not in self.ended:
                end(pid)
        for pid in self.innocents - self.killed_innocents:
            end(pid)


class Fitted:
    """An executor with a boundary after each act and release."""

    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self.name, self.actions = inner.name, inner.actions
        self._inner = inner
        self._fuse = fuse

    def resolve(self, step: Step, protection: Any) -> Any:
        held = self._inner.resolve(step, protection)
        if not isinstance(held, Result):
            self._fuse.fit(held, "act", "release")
        return held

    def close(self) -> None: ...


def sleeper() -> int:
    pid = os.fork()
    if pid == 0:
        while True:
            time.sleep(1000)
    return pid


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


class Processes:
    """Kills verified ones of ``Files``."""

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


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []
