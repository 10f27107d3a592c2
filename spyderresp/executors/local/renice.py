"""Sets the nice value of all threads of a process, and puts the old values back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any, Final

from spyderresp.execution.report import Result, Status
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.process_handle import HeldProcess
from spyderresp.executors.local.procfs import Proc, os_reason
from spyderresp.policies.vocabulary import NICE_MAX, NICE_MIN

# How often to look for new threads.
_MAX_LOOKS: Final = 100


class HeldForRenice(HeldProcess):
    """Sets the nice value of every thread of the target.

    ``setpriority`` takes a thread id and not a descriptor. So the thread is found in the held process right before, and
    the process is seen alive right after. Meanwhile no other thread can get this id.
    """

    priority: int = 0

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was found, with the old nice values: after a crash the journal may have no outcome that holds them."""
        before: dict[int, int] = {}
        for tid in self.proc.threads(self.target.pid):
            with contextlib.suppress(ProcessLookupError):
                before[tid] = os.getpriority(os.PRIO_PROCESS, tid)
        return {**self.found, "undo": self._undo(before)}

    def act(self) -> Result:
        """Renice all threads, also those that start meanwhile, and keep their old values."""
        if (refusal := self.refusal()) is not None:
            return refusal
        nice = self._nice
        before: dict[int, int] = {}
        try:
            for _ in range(_MAX_LOOKS):
                new = [tid for tid in self.proc.threads(self.target.pid) if tid not in before]
                if not new:
                    break
                for tid in new:
                    if self.pidfd.ended:
                        return self.gone()
                    before.update(renice(self.proc, self.target.pid, tid, nice))
            else:
                return self._result("incomplete", f"{self.shown} kept starting threads", before)
        except PermissionError:
            lower = nice < max(before.values(), default=nice + 1)
            need = "; a lower nice value needs CAP_SYS_NICE" if lower else ""
            return self._result("failed", f"{self.shown} cannot be reniced{need}", before)
        if self.pidfd.ended or not before:
            return self.gone()
        threads = "1 thread" if len(before) == 1 else f"{len(before)} threads"
        return self._result("done", f"reniced {self.shown} to {nice}: {threads}", before)

    @property
    def _nice(self) -> int:
        """The nice value to set, within the limits of the kernel."""
        return max(NICE_MIN, min(NICE_MAX, self.priority))

    def _result(self, status: Status, reason: str, before: Mapping[int, int]) -> Result:
        return Result(status, reason, details={**self.found, "undo": self._undo(before)})

    def _undo(self, before: Mapping[int, int]) -> dict[str, Any]:
        """Return the data that ``undo`` needs."""
        return {
            "pid": self.target.pid,
            "start_ticks": self.target.start_ticks,
            "boot_id": self.found["boot_id"],
            "nice": {str(tid): nice for tid, nice in before.items()},
            "set": self._nice,
        }


def renice(proc: Proc, pid: int, tid: int, nice: int) -> dict[int, int]:
    """Renice one thread of a held process; return its old value by thread id, or nothing if it has ended.

    Raises:
        PermissionError: this process may not renice it, or not to a lower value.
    """
    try:
        old = os.getpriority(os.PRIO_PROCESS, tid)
        if tid not in proc.threads(pid):
            return {}
        os.setpriority(os.PRIO_PROCESS, tid, nice)
    except ProcessLookupError:
        return {}
    return {tid: old}


def undo(proc: Proc, details: Mapping[str, Any]) -> Result:
    """Put the old nice values of a process back, except for threads that were reniced again since.

    Args:
        proc: reads processes.
        details: the details of the renice's result.
    """
    try:
        saved = details["undo"]
        pid, ticks, boot = int(saved["pid"]), int(saved["start_ticks"]), str(saved["boot_id"])
        nice = {int(tid): int(old) for tid, old in saved["nice"].items()}
        was_set = int(saved["set"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return Result("failed", "the journal does not hold the old nice values")
    if boot.lower() != proc.boot_id().lower():
        return Result("already", "the host was rebooted since, so the process is gone")
    try:
        pidfd = Pidfd(pid)
    except ProcessLookupError:
        return Result("already", f"process {pid} is gone")
    except OSError as error:
        return Result("mismatch", f"pid {pid} is not a process: {os_reason(error)}")
    with pidfd:
        process = proc.stat(pid)
        if process is None or pidfd.ended:
            return Result("already", f"process {pid} is gone")
        if process.start_ticks != ticks:
            return Result("mismatch", f"pid {pid} now belongs to another process: `{process.shown}`")
        restored, skipped = 0, 0
        # Threads that started after the renice inherited its value; they get the old value of the main thread.
        main = nice.get(pid, min(nice.values(), default=0))
        for tid in proc.threads(pid):
            try:
                if os.getpriority(os.PRIO_PROCESS, tid) != was_set:
                    skipped += 1
                    continue
                restored += len(renice(proc, pid, tid, nice.get(tid, main)))
            except ProcessLookupError:
                continue
            except PermissionError:
                return Result("failed", f"process {pid} cannot be reniced back: it needs CAP_SYS_NICE")
        others = f"; skipped {skipped} that were reniced since" if skipped else ""
        return Result(
            "done", f"put back the nice values of process {pid} `{process.shown}`: {restored} threads{others}"
        )
