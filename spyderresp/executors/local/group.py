"""Kills a process group: stops members until no new one is found, then kills them one by one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from spyderresp.execution.report import Result, refused
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.process_handle import HeldProcess
from spyderresp.executors.local.process_set import ProcessSet, kill_result, realtime_priority
from spyderresp.executors.local.procfs import Proc, ProcessStat


class HeldForGroup(HeldProcess):
    """Kills the process group of the target."""

    def __post_init__(self) -> None:
        # While the target has its pid, these are certainly members: pid, and start ticks with the pidfd's inode.
        self._known = {
            member.pid: (member.start_ticks, inode)
            for member in members_of(self.target.pgid, self.proc)
            if member.pid != self.target.pid and (inode := _inode(member, self.proc))
        }

    def act(self) -> Result:
        """Stop all members of the group, kill them, and wait for their death."""
        if (refusal := self.refusal()) is not None:
            return refusal
        process = self.proc.stat(self.target.pid)
        # The kernel does not reuse a pid while a group has it as its id.
        has_pid = process is not None and self.pidfd.has_pid(self.proc)
        target = process if process is not None and has_pid else self.target
        if (refusal := group_refusal(target, self.proc)) is not None:
            return refusal
        members = members_of(target.pgid, self.proc)
        if not members or (not has_pid and target.pgid == target.pid and self.proc.stat(target.pid) is not None):
            # In the second case the pid belongs to another process, so the old group had ended.
            return self.gone()
        if not has_pid and not any(map(self._is_known, members)):
            return unverified_group(self.shown, target.pgid, members, self.found)
        with realtime_priority():
            return self._kill(target, has_pid=has_pid)

    def _kill(self, target: ProcessStat, *, has_pid: bool) -> Result:
        processes = ProcessSet(self.proc, self.protected)
        until = time.monotonic() + self.settle
        with processes:
            if not has_pid:
                # A stopped member keeps the id of the group from being reused.
                for member in members_of(target.pgid, self.proc):
                    if self._is_known(member):
                        processes.stop(member, lambda now: now.pgid == target.pgid)
            settled = bool(has_pid or processes.members) and self._stop(processes, target.pgid, until)
            if settled:
                processes.release(lambda member: member.pgid != target.pgid)
            processes.kill()
        survivors = processes.survivors(time.monotonic() + self.wait)
        # A member may have forked right before it stopped, or the target may have moved to another group.
        groups = {target.pgid, self.target.pgid} if processes.members else set()
        late = [member for pgid in groups for member in members_of(pgid, self.proc) if not processes.holds(member)]
        return kill_result(processes, survivors, late, settled=settled, what=f"group {target.pgid} of {self.shown}")

    def _is_known(self, member: ProcessStat) -> bool:
        # Within one clock tick (10 ms) a pid can be reused. Compare the pidfd inode as well; kernels before 6.9 do not
        # provide one per process.
        known = self._known.get(member.pid)
        return known is not None and known == (member.start_ticks, _inode(member, self.proc))

    def _stop(self, processes: ProcessSet, pgid: int, until: float) -> bool:
        """Stop members until no new one is found; return False if ``until`` was over first."""
        while True:
            new = False
            for member in members_of(pgid, self.proc):
                # The group is compared again once the process is held: it may have left by then.
                new = processes.stop(member, lambda now: now.pgid == pgid) or new
            stopped = processes.wait_until_stopped(until)
            if not new and stopped:
                return True
            if time.monotonic() >= until:
                return False


def _inode(process: ProcessStat, proc: Proc) -> int:
    """Return the inode of a process's pidfd; 0 if it has ended."""
    try:
        with Pidfd(process.pid) as pidfd:
            return pidfd.inode if proc.same(process) is not None and not pidfd.ended else 0
    except OSError:
        return 0


def members_of(pgid: int, proc: Proc) -> list[ProcessStat]:
    """Return the living members of a process group."""
    return [process for process in proc.all_processes().values() if process.pgid == pgid and not process.dead]


def unverified_group(leader: str, pgid: int, members: list[ProcessStat], facts: Mapping[str, Any]) -> Result:
    """Return the result if the target has exited and its group may be a new group with its id."""
    reason = (
        f"{leader} has exited, so its ownership of process group {pgid} cannot be verified; no member was signalled"
    )
    return Result("incomplete", reason, details={**facts, "survivors": [member.to_dict() for member in members]})


def group_refusal(target: ProcessStat, proc: Proc) -> Result | None:
    """Return why a target's group must not be killed, or None: groups 0 and 1, and the group of this process."""
    if target.pgid in (0, 1):
        return refused("never:group", f"group {target.pgid} is never killed")
    own = proc.stat(os.getpid())
    if target.pgid == os.getpgrp() or (own is not None and target.pgid == own.pgid):
        return refused("never:group", f"group {target.pgid} is the group of this process")
    return None
