"""Killing a process's own group: stopped, looked at until it is whole, killed member by member."""

from __future__ import annotations

import os
import time
from typing import Any

from spyderresp.execution.report import Result, refused
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.process_handle import HeldProcess
from spyderresp.executors.local.process_set import ProcessSet, kill_result, realtime_priority
from spyderresp.executors.local.procfs import Proc, ProcessStat


class HeldForGroup(HeldProcess):
    """Kills the process's own group, member by member."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        # Read while the target had its number: these were of its group for certain.
        self._known = {
            look.pid: (look.start_ticks, inode)
            for look in members_of(self._found.pgid, self._proc)
            if look.pid != self._found.pid and (inode := _inode(look, self._proc))
        }

    def act(self) -> Result:
        """Stop the group until no more of it is found, kill it, and see it dead."""
        if (refusal := self._refused_now()) is not None:
            return refusal
        look = self._proc.stat(self._found.pid)
        # A number is not given out again while a group bears it.
        has_its_number = look is not None and self._pidfd.numbered(self._proc)
        now = look if look is not None and has_its_number else self._found
        if (refusal := group_refusal(now, self._proc)) is not None:
            return refusal
        left = members_of(now.pgid, self._proc)
        if not left or (not has_its_number and now.pgid == now.pid and self._proc.stat(now.pid) is not None):
            # A number that another process bears now was no group's any more.
            return self._gone()
        if not has_its_number and not any(map(self._is_known, left)):
            reason = f"{self._who()} is gone, and whether group {now.pgid} is still its own cannot be told: left alone"
            details = {**self._facts, "survivors": [look.to_dict() for look in left]}
            return Result("incomplete", reason, details=details)
        with realtime_priority():
            return self._kill(now, has_its_number=has_its_number)

    def _kill(self, now: ProcessStat, *, has_its_number: bool) -> Result:
        processes = ProcessSet(self._proc, self._shield)
        until = time.monotonic() + self._bounds.settle
        with processes:
            if not has_its_number:
                # Once one that is known for certain is stopped the group is held by it.
                self._stop_known(processes, now)
            settled = bool(has_its_number or processes.members) and self._stop(processes, now, until)
            if settled:
                processes.release(lambda look: look.pgid != now.pgid)
            processes.kill()
        survivors = processes.survivors(time.monotonic() + self._bounds.wait)
        # What a member forked right before it stopped, and who stayed behind in the group that the target left since.
        late = [look for pgid in {now.pgid, self._found.pgid} for look in members_of(pgid, self._proc)]
        late = [look for look in late if not processes.holds(look)] if processes.members else []
        return kill_result(processes, survivors, late, settled=settled, what=f"group {now.pgid} of {self._who()}")

    def _is_known(self, look: ProcessStat) -> bool:
        # A tick is long enough for two processes of one number: the inode tells them apart, where the kernel has one.
        known = self._known.get(look.pid)
        return known is not None and known == (look.start_ticks, _inode(look, self._proc))

    def _stop_known(self, processes: ProcessSet, now: ProcessStat) -> None:
        for look in members_of(now.pgid, self._proc):
            if self._is_known(look):
                processes.stop(look, lambda again: again.pgid == now.pgid)

    def _stop(self, processes: ProcessSet, target: ProcessStat, until: float) -> bool:
        """Stop members until a look at everyone finds no new one; tell whether it came to that."""
        while True:
            new = False
            for look in members_of(target.pgid, self._proc):
                # Looked at again once it is held: it may have left for a group of its own.
                new = processes.stop(look, lambda again: again.pgid == target.pgid) or new
            still = processes.wait_until_stopped(until)
            if not new and still:
                return True
            if time.monotonic() >= until:
                return False


def _inode(look: ProcessStat, proc: Proc) -> int:
    """Return what the kernel knows the process of a look by; 0 where it is gone."""
    try:
        with Pidfd(look.pid) as held:
            now = proc.stat(look.pid)
            return held.inode if now is not None and now.start_ticks == look.start_ticks and not held.ended else 0
    except OSError:
        return 0


def members_of(pgid: int, proc: Proc) -> list[ProcessStat]:
    """Return the living processes of a group."""
    return [look for look in proc.everyone().values() if look.pgid == pgid and not look.dead]


def group_refusal(target: ProcessStat, proc: Proc) -> Result | None:
    """Return why a target's group must not be killed, or None: those of the kernel, of PID 1 and ours."""
    if target.pgid in (0, 1):
        return refused("never:group", f"group {target.pgid} is never killed")
    ours = proc.stat(os.getpid())
    if target.pgid == os.getpgrp() or (ours is not None and target.pgid == ours.pgid):
        return refused("never:group", f"group {target.pgid} is ours")
    return None
