"""Is this the process that the event means? Compared only while it is held.

docs/decisions/0032-identity.md says what counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.events.timestamps import epoch_seconds
from spyderresp.execution.report import Result, refused
from spyderresp.execution.steps import Step
from spyderresp.executors.local.procfs import FIRST_CGROUPS, Proc, ProcessStat, same_path

#: The namespaces that the kernel starts with have fixed inodes: ``include/uapi/linux/nsfs.h``.
FIRST: Final = {
    "pid": "pid:[4026531836]",
    "uts": "uts:[4026531838]",
    "ipc": "ipc:[4026531839]",
    "cgroup": FIRST_CGROUPS,
}
# Whoever makes a container makes one of these too; `unshare --pid` makes none.
_OF_CONTAINERS: Final = ("uts", "ipc", "cgroup")
# Seconds by which the clocks of one machine's agent and kernel may differ.
_CLOCKS: Final = 0.1
_LARGEST_PID: Final = 2**22


@dataclass(frozen=True, slots=True)
class ExpectedIdentity:
    """What an event says of its process, in the types that it is compared in; None is not said.

    Attributes:
        pid: the number.
        start_ticks: clock ticks since boot.
        boot_id: names the boot.
        start_time: epoch seconds.
        exe: path of the executable.
        ppid: of the parent at the time.
        name: its own word for itself.
        unread: a field that the event has and that cannot be read; empty where there is none. The event means
            something by it, so it is not as good as absent.
        latest: when it has started at the latest, in epoch seconds: it is older than its event.
    """

    pid: int | None
    start_ticks: int | None
    boot_id: str | None
    start_time: float | None
    exe: str | None
    ppid: int | None
    name: str | None
    unread: str = ""
    latest: float | None = None

    @property
    def exact(self) -> bool:
        """Whether it tells one process from all others."""
        return self.start_ticks is not None and self.boot_id is not None

    @classmethod
    def of(cls, step: Step) -> ExpectedIdentity:
        """Return what a step's event says."""
        ticks, boot, start = (step.value(f"process.{key}") for key in ("start_ticks", "boot_id", "start_time"))
        read = {"start_ticks": _whole(ticks), "boot_id": _text(boot), "start_time": _seconds(start)}
        said = {"start_ticks": ticks, "boot_id": boot, "start_time": start}
        return cls(
            pid=_whole(step.value("process.pid")),
            start_ticks=_whole(ticks),
            boot_id=_text(boot),
            start_time=_seconds(start),
            exe=_text(step.value("process.exe")),
            ppid=_whole(step.value("process.ppid")),
            name=_text(step.value("process.name")),
            latest=_latest(step.event_time),
            unread=next((key for key, value in said.items() if value is not None and read[key] is None), ""),
        )


def _latest(moment: float | None) -> float | None:
    """Return the last moment that may be meant: many events give whole seconds."""
    return None if moment is None else moment + (1.0 if moment.is_integer() else _CLOCKS)


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
        own_pids: whether the host says that events speak of the PID namespace in which we are.
    """

    def __init__(self, proc: Proc, *, tolerance: float, exe_is_enough: bool, own_pids: bool = False) -> None:
        self._own_pids = own_pids
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
        try:
            seen = self._proc.stat(1) is not None
        except OSError:
            seen = False
        return (
            None if seen else f"{path} hides processes from us (`hidepid`): whom a group or tree holds cannot be told"
        )

    def doubt(self) -> str:
        """Return why a pid here need not be the host's; empty where nothing says so.

        It need not be in a container that has its own. One that was made by `unshare --pid` on the host itself, with
        nothing else of a container, is taken for the host: nobody else makes such events there.
        """
        if self._own_pids:
            return ""
        try:
            ours = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", *_OF_CONTAINERS)}
        except OSError as error:
            return f"in which namespaces we are cannot be told: {error}"
        if ours["pid"] == FIRST["pid"] or all(ours[kind] == FIRST[kind] for kind in _OF_CONTAINERS):
            return ""
        return "we are in a container that counts pids for itself: share the host's PID namespace"

    def compare(self, meant: ExpectedIdentity, found: ProcessStat) -> Result | None:
        """Return why a held process is not the one that is meant, or None where it is."""
        if meant.unread:
            return Result("mismatch", f"the event's `process.{meant.unread}` cannot be read")
        if meant.boot_id is not None and meant.boot_id.lower() != self._proc.boot_id().lower():
            return Result("mismatch", "the process was of another boot of this host")
        exe = self._proc.exe(found.pid)
        if meant.start_ticks is not None and meant.start_ticks != found.start_ticks:
            said = f"started at tick {found.start_ticks}, the event's at {meant.start_ticks}"
            return Result("mismatch", f"pid {found.pid} is another process by now: `{found.shown}` {said}")
        same_exe = meant.exe is not None and same_path(meant.exe, exe)
        if meant.exact:
            return None
        if meant.latest is not None and self._proc.started(found) > meant.latest:
            return Result(
                "mismatch", f"pid {found.pid} is another process by now: `{found.shown}` is younger than the event"
            )
        if meant.start_ticks is not None and same_exe:
            return self._unless_doubtful()
        if meant.start_time is not None:
            return self._by_start_time(meant, found, same_exe=same_exe)
        if self._exe_is_enough and same_exe:
            return self._unless_doubtful()
        return Result("mismatch", f"the event does not say exactly which process it means: {_GIVES}")

    def _by_start_time(self, meant: ExpectedIdentity, found: ProcessStat, *, same_exe: bool) -> Result | None:
        booted = self._proc.boot_time()
        if booted is None or meant.start_time is None:
            return Result("mismatch", "when this host was booted cannot be told")
        started = booted + found.start_ticks / os.sysconf("SC_CLK_TCK")
        if abs(started - meant.start_time) > self._tolerance:
            apart = f"{abs(started - meant.start_time):.1f} s from the event's `start_time`"
            return Result("mismatch", f"pid {found.pid} is another process by now: `{found.shown}` started {apart}")
        if not same_exe:
            return Result("mismatch", "`start_time` counts together with `exe` only, and that is not the same")
        return self._unless_doubtful()

    def _unless_doubtful(self) -> Result | None:
        """Where pids may be others than the host's, all that is not exact is too little."""
        doubt = self.doubt()
        if not doubt:
            return None
        return refused("pid-namespace", f"without `start_ticks` and `boot_id` its process cannot be told: {doubt}")


_GIVES: Final = "`start_ticks` with `boot_id` does, or `start_time` with `exe`"


def valid_pid(pid: int | None) -> bool:
    """Tell whether a number can be a pid that anything may be done to."""
    return pid is not None and 1 <= pid <= _LARGEST_PID
