"""Renicing: every thread of the verified process, and back again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any, Final

from spyderresp.execution.report import Result
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.process_handle import HeldProcess
from spyderresp.executors.local.procfs import Proc
from spyderresp.policies.vocabulary import NICE_MAX, NICE_MIN

_PASSES: Final = 100


class HeldForRenice(HeldProcess):
    """Sets the nice value of every thread.

    ``setpriority`` takes a number, so each thread is seen to be the held process's right before, and the process to
    live right after: while it does, none of its threads' numbers that is still listed can be another's.
    """

    priority: int = 0

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was found, and what undoes it: after a crash there may be no outcome that tells."""
        before: dict[int, int] = {}
        for tid in self._proc.threads(self._found.pid):
            with contextlib.suppress(ProcessLookupError):
                before[tid] = os.getpriority(os.PRIO_PROCESS, tid)
        return {**self._facts, "undo": self._undo(before)}

    def act(self) -> Result:
        """Renice all threads, those that start meanwhile too, and keep what they had."""
        if (refusal := self._refused_now()) is not None:
            return refusal
        wanted = self._wanted
        before: dict[int, int] = {}
        try:
            for _ in range(_PASSES):
                new = [tid for tid in self._proc.threads(self._found.pid) if tid not in before]
                if not new:
                    break
                for tid in new:
                    if self._pidfd.ended:
                        return self._gone()
                    before.update(renice(self._proc, self._found.pid, tid, wanted))
            else:
                return self._told("incomplete", f"{self._who()} kept starting threads", before)
        except PermissionError:
            lower = wanted < max(before.values(), default=wanted + 1)
            need = "; a lower nice value needs CAP_SYS_NICE" if lower else ""
            return self._told("failed", f"{self._who()} cannot be reniced{need}", before)
        if self._pidfd.ended or not before:
            return self._gone()
        threads = "1 thread" if len(before) == 1 else f"{len(before)} threads"
        return self._told("done", f"reniced {self._who()} to {wanted}: {threads}", before)

    @property
    def _wanted(self) -> int:
        return max(NICE_MIN, min(NICE_MAX, self.priority))

    def _told(self, status: Any, reason: str, before: Mapping[int, int]) -> Result:
        return Result(status, reason, details={**self._facts, "undo": self._undo(before)})

    def _undo(self, before: Mapping[int, int]) -> dict[str, Any]:
        return {
            "pid": self._found.pid,
            "start_ticks": self._found.start_ticks,
            "boot_id": self._facts["boot_id"],
            "nice": {str(tid): nice for tid, nice in before.items()},
            "set": self._wanted,
        }


def renice(proc: Proc, pid: int, tid: int, nice: int) -> dict[int, int]:
    """Renice one thread of a held process; return what it had before, or nothing where it has ended.

    Raises:
        PermissionError: it is not ours to renice, or not so low.
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
    """Give a process the nice values back that a renice took, where nobody has set others since.

    Args:
        proc: where it is read.
        details: those of the renice's outcome.
    """
    try:
        kept = details["undo"]
        pid, ticks, boot = int(kept["pid"]), int(kept["start_ticks"]), str(kept["boot_id"])
        nice = {int(tid): int(old) for tid, old in kept["nice"].items()}
        was_set = int(kept["set"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return Result("failed", "the journal does not say what the nice values were before")
    if boot.lower() != proc.boot_id().lower():
        return Result("already", "the host has been booted since: the process is gone")
    try:
        held = Pidfd(pid)
    except ProcessLookupError:
        return Result("already", f"process {pid} is gone")
    except OSError as error:
        return Result("mismatch", f"pid {pid} is no process: {(error.strerror or '').lower()}")
    with held:
        found = proc.stat(pid)
        if found is None or held.ended:
            return Result("already", f"process {pid} is gone")
        if found.start_ticks != ticks:
            return Result("mismatch", f"pid {pid} is another process by now: `{found.shown}`")
        back, left = 0, 0
        main = nice.get(pid, min(nice.values(), default=0))
        for tid in proc.threads(pid):
            # Threads that started later took the new value over.
            try:
                if os.getpriority(os.PRIO_PROCESS, tid) != was_set:
                    left += 1
                    continue
                back += len(renice(proc, pid, tid, nice.get(tid, main)))
            except ProcessLookupError:
                continue
            except PermissionError:
                return Result("failed", f"process {pid} cannot be reniced back: it needs CAP_SYS_NICE")
        others = f"; {left} set otherwise since, left alone" if left else ""
        return Result("done", f"process {pid} `{found.shown}` has its nice values back: {back} threads{others}")
