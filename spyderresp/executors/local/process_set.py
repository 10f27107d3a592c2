"""``ProcessSet``: stops and kills the members of a group or tree, each by a pidfd.

Between two signals only the pid and start ticks of a member are kept, so that thousands of members need no descriptors.
A stopped process cannot end by itself, so its pid cannot be reused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from spyderresp.execution.report import Result, Status
from spyderresp.executors.local.cgroup import frozen_processes
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.procfs import Proc, ProcessStat, os_reason
from spyderresp.executors.local.protected_processes import ProtectedProcesses

if TYPE_CHECKING:
    from typing_extensions import Self


# The states of threads that run no code: stopped, traced or dead.
_STOPPED: Final = frozenset("TtZXx")
_PAUSE: Final = 0.002
# A thread in uninterruptible sleep (state D) handles SIGSTOP only when it wakes; it may never wake if it waits for a
# process that we stopped. It counts as stopped after so many seconds.
_SLEEPING_SECONDS: Final = 0.1
# The most processes that a message names.
_MAX_NAMED: Final = 10


@contextlib.contextmanager
def realtime_priority() -> Iterator[None]:
    """Run the block with real-time priority if this is permitted: a fork bomb would leave it no processor time."""
    try:
        policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
        lowest = os.sched_param(os.sched_get_priority_min(os.SCHED_RR))
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, lowest)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


class ProcessSet:
    """The members of a group or tree while they are found, stopped and killed.

    A context manager: after an exception it lets the stopped members run again.

    Attributes:
        members: the members, by pid.
        spared: protected processes, by pid, each with the reason.
        failed: the reasons why signals to members failed, by pid.
        left: processes that left the group before they stopped, by pid; they run on.
    """

    def __init__(self, proc: Proc, protected: ProtectedProcesses) -> None:
        self._proc = proc
        self._protected = protected
        self.members: dict[int, ProcessStat] = {}
        self.spared: dict[int, tuple[ProcessStat, str]] = {}
        self.failed: dict[int, str] = {}
        self.left: dict[int, ProcessStat] = {}
        # Inodes of pidfds, by pid and start ticks.
        self._inodes: dict[tuple[int, int], int] = {}

    def holds(self, process: ProcessStat) -> bool:
        """Return whether a process is a member or spared."""
        known = self._known(process.pid)
        return known is not None and known.start_ticks == process.start_ticks

    def _known(self, pid: int) -> ProcessStat | None:
        return self.members.get(pid) or self.spared.get(pid, (None, ""))[0]

    def is_child_of_member(self, process: ProcessStat) -> bool:
        """Return whether a held process is a child of a living member, or of a living spared process."""
        parent = self._known(process.ppid)
        if parent is None or parent.start_ticks > process.start_ticks or (pidfd := self._open(parent)) is None:
            return False
        pidfd.close()
        return True

    def stop(self, process: ProcessStat, belongs: Callable[[ProcessStat], bool] | None = None) -> bool:
        """Make a process a member and stop it; a protected process is spared. Return False if nothing changed.

        Args:
            process: the process as it was seen before it is held.
            belongs: returns whether the process belongs to the group or tree. Called with the process as it is when it
                is held.
        """
        if self.holds(process) or process.pid in self.left:
            return False
        pidfd = self._open(process)
        if pidfd is None:
            return False
        with pidfd:
            now = self._proc.same(process)
            if now is None or (belongs is not None and not belongs(now)) or not pidfd.has_pid(self._proc):
                return False
            self._inodes[process.pid, process.start_ticks] = pidfd.inode
            refusal = self._protected.refusal(now)
            if refusal is not None:
                self.spared[process.pid] = (now, refusal.reason)
                return True
            self.members[process.pid] = now
            self._signal(pidfd, signal.SIGSTOP)
        return True

    def _open(self, process: ProcessStat) -> Pidfd | None:
        """Return a pidfd of this very process; None if it has ended or its pid belongs to another process."""
        try:
            pidfd = Pidfd(process.pid)
        except OSError as error:
            if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
                return None
            raise
        inode = self._inodes.get((process.pid, process.start_ticks), pidfd.inode)
        if self._proc.same(process) is None or pidfd.inode != inode or pidfd.ended:
            pidfd.close()
            return None
        return pidfd

    def _signal(self, pidfd: Pidfd, number: signal.Signals) -> bool:
        """Send a signal and return whether it was sent; note the reason if it failed."""
        try:
            pidfd.send(number)
        except ProcessLookupError:
            return False
        except OSError as error:
            self.failed[pidfd.pid] = os_reason(error)
            return False
        return True

    def release(self, gone: Callable[[ProcessStat], bool]) -> None:
        """Let the members run again for which ``gone`` returns True: they left the group before they stopped."""
        for member in list(self.members.values()):
            process = self._proc.same(member)
            if process is not None and not process.dead and gone(process):
                del self.members[member.pid]
                self.left[member.pid] = process
                self._resume(member)

    def _resume(self, member: ProcessStat) -> None:
        """Let a member run again, unless it was stopped before it became a member."""
        if member.state not in "Tt":
            with contextlib.suppress(OSError):
                pidfd = self._open(member)
                if pidfd is not None:
                    with pidfd:
                        pidfd.send(signal.SIGCONT)

    def wait_until_stopped(self, until: float) -> bool:
        """Wait until all threads of all members stopped or ended; return False if ``until`` was over first.

        A member in a frozen cgroup counts as stopped: it stops before it runs again.
        """
        sleeping_since: float | None = None
        next_look = time.monotonic() + _SLEEPING_SECONDS
        while True:
            running = {pid: left for pid, member in self.members.items() if (left := self._states(member) - _STOPPED)}
            now = time.monotonic()
            if running and now >= next_look:
                next_look = now + _SLEEPING_SECONDS
                frozen = frozen_processes(running, self._proc)
                running = {pid: states for pid, states in running.items() if pid not in frozen}
            if not running:
                return True
            asleep = set().union(*running.values()) == {"D"}
            sleeping_since = (sleeping_since or now) if asleep else None
            if sleeping_since is not None and now - sleeping_since >= _SLEEPING_SECONDS:
                return True
            if now >= until:
                return False
            time.sleep(_PAUSE)

    def _states(self, member: ProcessStat) -> set[str]:
        process = None if member.pid in self.failed else self._proc.same(member)
        if process is None:
            return set()
        # The main thread may have ended while other threads run.
        return {process.state} if process.threads <= 1 else self._proc.states(member.pid)

    def kill(self) -> None:
        """Send SIGKILL to every member."""
        for member in self.members.values():
            pidfd = self._open(member)
            if pidfd is not None:
                with pidfd:
                    if self._signal(pidfd, signal.SIGKILL):
                        self.failed.pop(member.pid, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for member in self.members.values():
                self._resume(member)

    def survivors(self, until: float) -> list[ProcessStat]:
        """Wait until all members are dead, at most until ``until`` (``time.monotonic``); return the living ones."""
        while True:
            living = [process for member in self.members.values() if (process := self._living(member)) is not None]
            if not living or time.monotonic() >= until:
                return living
            time.sleep(_PAUSE)

    def _living(self, member: ProcessStat) -> ProcessStat | None:
        process = self._proc.same(member)
        if process is None or process.dead or (pidfd := self._open(member)) is None:
            return None
        pidfd.close()
        return process

    def details(self, survivors: Iterable[ProcessStat]) -> dict[str, Any]:
        """Return the processes that were killed, spared and survived, as JSON data."""
        living = {process.pid for process in survivors}
        data: dict[str, Any] = {"killed": [item.to_dict() for pid, item in self.members.items() if pid not in living]}
        if self.spared:
            data["spared"] = [{**item.to_dict(), "reason": reason} for item, reason in self.spared.values()]
        if living:
            data["survivors"] = [
                {**item.to_dict(), "reason": self.failed.get(pid, "still alive")}
                for pid, item in self.members.items()
                if pid in living
            ]
        return data


def kill_result(
    processes: ProcessSet, survivors: Sequence[ProcessStat], escaped: Sequence[ProcessStat], *, settled: bool, what: str
) -> Result:
    """Return the result of a killed group or tree: ``done`` only if nothing was spared, survived or may have escaped.

    Args:
        processes: the members.
        survivors: the members that are still alive.
        escaped: other processes that may have escaped.
        settled: whether all members were stopped before they were killed.
        what: the name of the group or tree, such as ``tree of process 7``.
    """
    details = processes.details(survivors)
    away = [*processes.left.values(), *(item for item in escaped if item.pid not in processes.left)]
    if away:
        details["escaped"] = [{**item.to_dict(), "ppid": item.ppid} for item in away[:_MAX_NAMED]]
        details["escaped_count"] = len(away)
    killed = len(details["killed"])
    missing = []
    if processes.spared:
        missing.append("spared " + "; ".join(reason for _, reason in processes.spared.values()))
    if survivors:
        missing.append(f"still alive: {_names(survivors)}")
    if away:
        missing.append(f"may have escaped: {_names(away)}")
    if not settled:
        missing.append("not all could be stopped in time, so some may have escaped unseen")
    if not missing:
        count = "1 process" if killed == 1 else f"{killed} processes"
        return Result("done", f"killed the {what}: {count}", "", details)
    status: Status = "incomplete" if killed or processes.spared or processes.left else "failed"
    return Result(status, f"killed {killed} of the {what}; {'; '.join(missing)}", "", details)


def _names(processes: Sequence[ProcessStat]) -> str:
    more = f" and {len(processes) - _MAX_NAMED} more" if len(processes) > _MAX_NAMED else ""
    return ", ".join(f"{item.pid} `{item.shown}`" for item in processes[:_MAX_NAMED]) + more
