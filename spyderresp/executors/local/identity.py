"""Is this the process that the event means? Compared only while it is held.

docs/decisions/0032-identity.md says what counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.executors.local.proc import Proc, Stat, same_path
from spyderresp.report import Result
from spyderresp.steps import Step, epoch_seconds

#: The inode of the PID namespace that the kernel starts with.
_FIRST_NAMESPACE: Final = "pid:[4026531836]"
_LARGEST_PID: Final = 2**22


@dataclass(frozen=True, slots=True)
class Meant:
    """What an event says of its process, in the types that it is compared in; None is not said.

    Attributes:
        pid: the number.
        start_ticks: clock ticks since boot.
        boot_id: names the boot.
        start_time: epoch seconds.
        exe: path of the executable.
        ppid: of the parent at the time.
        name: its own word for itself.
    """

    pid: int | None
    start_ticks: int | None
    boot_id: str | None
    start_time: float | None
    exe: str | None
    ppid: int | None
    name: str | None

    @classmethod
    def of(cls, step: Step) -> Meant:
        """Return what a step's event says."""
        return cls(
            pid=_whole(step.value("process.pid")),
            start_ticks=_whole(step.value("process.start_ticks")),
            boot_id=_text(step.value("process.boot_id")),
            start_time=_seconds(step.value("process.start_time")),
            exe=_text(step.value("process.exe")),
            ppid=_whole(step.value("process.ppid")),
            name=_text(step.value("process.name")),
        )


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else None
    return value if isinstance(value, int) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            return epoch_seconds(float(value))
        except ValueError:
            return epoch_seconds(value)
    return epoch_seconds(value)


class Identity:
    """Compares processes with events.

    Args:
        proc: the ``/proc`` they are read from.
        tolerance: seconds by which an epoch ``start_time`` may be off.
        exe_is_enough: whether the host takes an exe alone as proof.
    """

    def __init__(self, proc: Proc, *, tolerance: float, exe_is_enough: bool) -> None:
        self._proc = proc
        self._tolerance = tolerance
        self._exe_is_enough = exe_is_enough

    def namespace(self) -> str | None:
        """Return why the pids of this ``/proc`` are not those that we signal, or None where they are."""
        path = self._proc.path
        try:
            ours = os.readlink("/proc/self/ns/pid")
            theirs = os.readlink(f"{path}/self/ns/pid")
            itself = int(os.readlink(f"{path}/self"))
        except (OSError, ValueError) as error:
            return f"whose pids {path} shows cannot be told: {error}"
        # One number for each namespace from that of this /proc down to ours.
        numbers = self._proc.status("self").get("NSpid", "").split()
        if ours != theirs or itself != os.getpid() or len(numbers) > 1:
            return f"{path} shows the pids of another namespace than ours: share the host's PID namespace"
        return None

    def nested(self) -> bool:
        """Tell whether our PID namespace is not the host's."""
        return os.readlink("/proc/self/ns/pid") != _FIRST_NAMESPACE

    def compare(self, meant: Meant, found: Stat) -> Result | None:
        """Return why a held process is not the one that is meant, or None where it is."""
        if meant.boot_id is not None and meant.boot_id.lower() != self._proc.boot_id().lower():
            return Result("mismatch", "the process was of another boot of this host")
        exe = self._proc.exe(found.pid)
        if meant.start_ticks is not None and meant.start_ticks != found.start_ticks:
            said = f"started at tick {found.start_ticks}, the event's at {meant.start_ticks}"
            return Result("mismatch", f"pid {found.pid} is another process by now: `{found.name}` {said}")
        same_exe = meant.exe is not None and same_path(meant.exe, exe)
        if meant.start_ticks is not None and meant.boot_id is not None:
            return None
        if meant.start_ticks is not None and same_exe:
            return self._unless_nested(meant, found)
        if meant.start_time is not None:
            return self._by_start_time(meant, found, same_exe=same_exe)
        if self._exe_is_enough and same_exe:
            return self._unless_nested(meant, found)
        return Result("mismatch", f"the event does not say exactly which process it means: {_GIVES}")

    def _by_start_time(self, meant: Meant, found: Stat, *, same_exe: bool) -> Result | None:
        booted = self._proc.boot_time()
        if booted is None or meant.start_time is None:
            return Result("mismatch", "when this host was booted cannot be told")
        started = booted + found.start_ticks / os.sysconf("SC_CLK_TCK")
        if abs(started - meant.start_time) > self._tolerance:
            apart = f"{abs(started - meant.start_time):.1f} s from the event's `start_time`"
            return Result("mismatch", f"pid {found.pid} is another process by now: `{found.name}` started {apart}")
        if not same_exe:
            return Result("mismatch", "`start_time` counts together with `exe` only, and that is not the same")
        return self._unless_nested(meant, found)

    def _unless_nested(self, meant: Meant, found: Stat) -> Result | None:
        """In a namespace of our own a number and a time are too little: the host's may have the like."""
        if self.nested() and meant.ppid != found.ppid:
            reason = (
                "in a PID namespace of our own the event must give `start_ticks` and `boot_id`, or the parent as well"
            )
            return Result("refused", reason, "pid-namespace")
        return None


_GIVES: Final = "`start_ticks` with `boot_id` does, or `start_time` with `exe`"


def valid_pid(pid: int | None) -> bool:
    """Tell whether a number can be a pid that anything may be done to."""
    return pid is not None and 1 <= pid <= _LARGEST_PID
