"""Compares a held process with the process that an event names. docs/decisions/0032-identity.md says what is needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.events.timestamps import epoch_seconds
from spyderresp.execution.report import Result, refused
from spyderresp.execution.steps import Step
from spyderresp.executors.local.procfs import INITIAL_CGROUP_NAMESPACE, Proc, ProcessStat, same_path

#: The namespaces that the kernel starts with. Their inodes are fixed: ``include/uapi/linux/nsfs.h``.
INITIAL_NAMESPACES: Final = {
    "pid": "pid:[4026531836]",
    "uts": "uts:[4026531838]",
    "ipc": "ipc:[4026531839]",
    "cgroup": INITIAL_CGROUP_NAMESPACE,
}
# Every container runtime makes at least one of these for a container; `unshare --pid` makes none.
_OF_CONTAINERS: Final = ("uts", "ipc", "cgroup")
# The most seconds between the clocks of a sensor and of the kernel on one machine.
_CLOCK_ERROR: Final = 0.1
_MAX_PID: Final = 2**22


@dataclass(frozen=True, slots=True)
class ExpectedIdentity:
    """The process that an event names, with converted values; None: the event does not give the value.

    Attributes:
        pid: its pid.
        start_ticks: when it started, in clock ticks since boot.
        boot_id: the id of the boot.
        start_time: when it started, in epoch seconds.
        exe: the path of its executable.
        name: its name.
        unreadable: the name of a value (``start_ticks``, ``boot_id`` or ``start_time``) that the event gives in a form
            that cannot be read; else empty.
        latest_start: when it started at the latest, in epoch seconds, because it is older than its event.
    """

    pid: int | None
    start_ticks: int | None
    boot_id: str | None
    start_time: float | None
    exe: str | None
    name: str | None
    unreadable: str = ""
    latest_start: float | None = None

    @property
    def exact(self) -> bool:
        """Whether the event gives enough to identify one process among all."""
        return self.start_ticks is not None and self.boot_id is not None

    @classmethod
    def of(cls, step: Step) -> ExpectedIdentity:
        """Return the process that the event of a step names."""
        ticks, boot, start = (step.value(f"process.{key}") for key in ("start_ticks", "boot_id", "start_time"))
        given = {"start_ticks": ticks, "boot_id": boot, "start_time": start}
        converted = {"start_ticks": _integer(ticks), "boot_id": _text(boot), "start_time": _seconds(start)}
        return cls(
            pid=_integer(step.value("process.pid")),
            start_ticks=_integer(ticks),
            boot_id=_text(boot),
            start_time=_seconds(start),
            exe=_text(step.value("process.exe")),
            name=_text(step.value("process.name")),
            unreadable=next((key for key in given if given[key] is not None and converted[key] is None), ""),
            latest_start=_latest(step.event_time),
        )


def _latest(event_time: float | None) -> float | None:
    """Return the latest moment that an event's time may stand for: many sensors give whole seconds, rounded down."""
    return None if event_time is None else event_time + (1.0 if event_time.is_integer() else _CLOCK_ERROR)


def _integer(value: Any) -> int | None:
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
        proc: the ``/proc`` that processes are read from.
        tolerance: the most seconds between the event's ``start_time`` and the start of the process.
        exe_is_enough: whether an equal ``exe`` alone identifies a process.
        own_pids: whether the pids of events are those of the PID namespace of this process.
    """

    def __init__(self, proc: Proc, *, tolerance: float, exe_is_enough: bool, own_pids: bool = False) -> None:
        self._own_pids = own_pids
        self._proc = proc
        self._tolerance = tolerance
        self._exe_is_enough = exe_is_enough

    def namespace(self) -> str | None:
        """Return why the pids of this ``/proc`` are not those that this process can signal; None: they are."""
        path = self._proc.path
        try:
            ours = os.readlink("/proc/self/ns/pid")
            theirs = os.readlink(f"{path}/self/ns/pid")
            own_pid = int(os.readlink(f"{path}/self"))
        except (OSError, ValueError) as error:
            return f"the PID namespace of {path} cannot be read: {error}"
        # `NSpid` has one pid for each namespace, from that of this /proc down to that of this process.
        pids = self._proc.status("self").get("NSpid", "").split()
        if ours != theirs or own_pid != os.getpid() or len(pids) > 1:
            return f"{path} shows another PID namespace than that of this process; share the host's PID namespace"
        try:
            visible = self._proc.stat(1) is not None
        except OSError:
            visible = False
        return None if visible else f"{path} hides processes (`hidepid`), so members of a group or tree could be missed"

    def doubt(self) -> str:
        """Return why a pid here may be another process than on the host; empty if there is no reason.

        A process in a new PID namespace but in no other namespace of a container, as after ``unshare --pid``, counts as
        a process of the host: no sensor runs there.
        """
        if self._own_pids:
            return ""
        try:
            ours = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", *_OF_CONTAINERS)}
        except OSError as error:
            return f"the namespaces of this process cannot be read: {error}"
        if ours["pid"] == INITIAL_NAMESPACES["pid"] or all(ours[n] == INITIAL_NAMESPACES[n] for n in _OF_CONTAINERS):
            return ""
        return "this process is in a container with its own PID namespace; share the host's PID namespace"

    def compare(self, expected: ExpectedIdentity, process: ProcessStat) -> Result | None:
        """Return why a held process is not the one that is expected; None: it is."""
        if expected.unreadable:
            return Result("mismatch", f"the event's `process.{expected.unreadable}` cannot be read")
        if expected.boot_id is not None and expected.boot_id.lower() != self._proc.boot_id().lower():
            return Result("mismatch", "the event's process is from another boot of this host")
        if expected.start_ticks is not None and expected.start_ticks != process.start_ticks:
            why = f"started at tick {process.start_ticks}, the event's process at tick {expected.start_ticks}"
            return _other_process(process, why)
        if expected.exact:
            return None
        if expected.latest_start is not None and self._proc.started(process) > expected.latest_start:
            return _other_process(process, "started after the event")
        same_exe = expected.exe is not None and same_path(expected.exe, self._proc.exe(process.pid))
        if expected.start_ticks is not None and same_exe:
            return self._unless_doubtful()
        if expected.start_time is not None:
            return self._by_start_time(expected.start_time, process, same_exe=same_exe)
        if self._exe_is_enough and same_exe:
            return self._unless_doubtful()
        needs = "`start_ticks` with `boot_id`, or `start_time` with `exe`"
        return Result("mismatch", f"the event does not identify its process: it needs {needs}")

    def _by_start_time(self, start_time: float, process: ProcessStat, *, same_exe: bool) -> Result | None:
        booted = self._proc.boot_time()
        if booted is None:
            return Result("mismatch", "the boot time of this host cannot be read")
        apart = abs(booted + process.start_ticks / os.sysconf("SC_CLK_TCK") - start_time)
        if apart > self._tolerance:
            return _other_process(process, f"started {apart:.1f} s from the event's `start_time`")
        if not same_exe:
            return Result("mismatch", "`start_time` identifies a process only with its `exe`, and the `exe` differs")
        return self._unless_doubtful()

    def _unless_doubtful(self) -> Result | None:
        """Return a refusal if pids may be those of another namespace: then only exact identity is enough."""
        doubt = self.doubt()
        return refused("pid-namespace", f"the event needs `start_ticks` and `boot_id`: {doubt}") if doubt else None


def _other_process(process: ProcessStat, why: str) -> Result:
    return Result("mismatch", f"pid {process.pid} now belongs to another process: `{process.shown}` {why}")


def valid_pid(pid: int | None) -> bool:
    """Return whether a number can be the pid of a process."""
    return pid is not None and 1 <= pid <= _MAX_PID
