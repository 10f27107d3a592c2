"""Killing a process and all that came of it: stopped from the top down, looked at until it is whole, killed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from spyderresp.execution.report import Result
from spyderresp.executors.local.ancestry import descends_from, is_orphan_of
from spyderresp.executors.local.cgroup import Cgroup, owned_by
from spyderresp.executors.local.process_handle import HeldProcess
from spyderresp.executors.local.process_set import ProcessSet, kill_result, realtime_priority
from spyderresp.executors.local.procfs import ProcessStat
from spyderresp.executors.local.protected_processes import ancestors

_LOOKS: Final = 20
_CHASES: Final = 20


class HeldForTree(HeldProcess):
    """Kills the process and all that came of it."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._cgroups = self._proc.cgroups(self._found.pid)

    def act(self) -> Result:
        """Stop the tree until no more of it is found, kill it, and see it dead; by its cgroup where it owns one."""
        if self._pidfd.ended:
            return self._gone()
        if (refusal := self._refused_now()) is not None:
            return refusal
        with realtime_priority():
            return self._kill()

    def _kill(self) -> Result:
        processes = ProcessSet(self._proc, self._shield)
        until = time.monotonic() + self._bounds.settle
        cgroups = self._proc.cgroups(self._found.pid)
        now = self._proc.stat(self._found.pid)
        if now is None or now.ending:
            # What is ending is told to be elsewhere: where it was when it was resolved is the better answer.
            cgroups = self._cgroups
        # Frozen first: then nothing forks while it is looked at.
        cgroup = owned_by(self._found, self._proc, self._shield, self._parents, until)
        try:
            with processes:
                settled = self._stop(processes, until, frozen=cgroup is not None)
                if cgroup is not None:
                    return self._kill_cgroup(processes, cgroup)
                processes.kill()
        finally:
            if cgroup is not None:
                cgroup.thaw()
        survivors = processes.survivors(time.monotonic() + self._bounds.wait)
        late = self._descendants(processes) if processes.members else []
        away = [*late, *self._orphans(processes, cgroups)]
        return kill_result(processes, survivors, away, settled=settled, what=f"tree of {self._who()}")

    def _kill_cgroup(self, processes: ProcessSet, cgroup: Cgroup) -> Result:
        for look in self._inside(cgroup) if cgroup.scope else cgroup.members:
            processes.stop(look)
        # Of the tree, what lives in other cgroups too. One that is frozen dies all the same.
        processes.kill()
        if cgroup.scope:
            cgroup.kill()
        until = time.monotonic() + self._bounds.wait
        emptied = cgroup.emptied(until)
        survivors = processes.survivors(until)
        away = [look for look in self._inside(cgroup) if not processes.holds(look)]
        return kill_result(processes, survivors, away, settled=emptied, what=f"tree of {self._who()}, by its cgroup")

    def _inside(self, cgroup: Cgroup) -> Iterable[ProcessStat]:
        for pid in cgroup.pids():
            look = self._proc.stat(pid)
            if look is not None and not look.dead:
                yield look

    def _stop(self, processes: ProcessSet, until: float, *, frozen: bool) -> bool:
        """Stop the target and its descendants until no new one is found; tell whether it came to that."""
        target = self._proc.stat(self._found.pid)
        if target is not None and target.start_ticks == self._found.start_ticks:
            processes.stop(target)
        while True:
            new = False
            for look in self._descendants(processes):
                new = processes.stop(look, processes.is_child_of_member) or new
            still = frozen or processes.wait_until_stopped(until)
            if not new and still:
                return True
            if time.monotonic() >= until:
                return False

    def _descendants(self, processes: ProcessSet) -> list[ProcessStat]:
        """Return the living processes below the members that are none yet, parents before children."""
        everyone = self._proc.everyone()
        children: dict[int, list[ProcessStat]] = {}
        for look in everyone.values():
            children.setdefault(look.ppid, []).append(look)
        found: list[ProcessStat] = []
        # A spared one's children are not spared with it. Whose number is another's by now has none.
        ahead = [look.pid for look in everyone.values() if processes.holds(look)]
        seen = set(ahead)
        while ahead:
            for look in children.get(ahead.pop(), ()):
                # What we have started ourselves is ours, wherever we stand.
                if look.pid not in seen and look.ppid != os.getpid():
                    seen.add(look.pid)
                    ahead.append(look.pid)
                    if not look.dead:
                        found.append(look)
        return found

    def _orphans(self, processes: ProcessSet, cgroups: list[tuple[str, str]]) -> list[ProcessStat]:
        """Return who may have come of the tree and got away: given to a reaper, in the target's cgroup, younger.

        What re-parents leaves no trace that proves it: to name one too many is better than `done` over a survivor. One
        that forks and ends all the time slips through looks at everyone, so while anybody forks whoever was born last
        is looked at by its number, again and again.
        """
        for _ in range(_LOOKS):
            forks = self._proc.forks()
            found = self._suspects(processes, cgroups, self._proc.everyone())
            if found or (forks is not None and forks == self._proc.forks()):
                return found
            for _ in range(_CHASES):
                if found := self._suspects(processes, cgroups, self._newest()):
                    return found
        return []

    def _newest(self) -> dict[int, ProcessStat]:
        """Return the process that was born last, its parent and so on, or nothing where it is gone."""
        line: dict[int, ProcessStat] = {}
        pid = self._proc.last_pid()
        while pid and pid not in line and (look := self._proc.stat(pid)) is not None:
            line[pid] = look
            pid = look.ppid
        return line

    def _suspects(
        self, processes: ProcessSet, cgroups: list[tuple[str, str]], everyone: Mapping[int, ProcessStat]
    ) -> list[ProcessStat]:
        ours = frozenset(ancestors(self._proc))
        tree = [self._found, *processes.members.values()]
        orphans: dict[int, bool] = {}
        found = []
        for look in everyone.values():
            if look.dead or look.kernel or look.pid in ours or processes.holds(look):
                continue
            # What an orphan has forked since got away with it.
            root = descends_from(self._found, look, everyone)
            if root is None or root.pid in ours or processes.holds(root):
                continue
            if root.pid not in orphans:
                kin = is_orphan_of(tree, root, everyone, self._parents, self._found.start_ticks)
                orphans[root.pid] = kin != "no" and self._was_in(cgroups, root)
            if orphans[root.pid]:
                found.append(look)
        return found

    def _was_in(self, cgroups: list[tuple[str, str]], look: ProcessStat) -> bool:
        """Tell whether a process was in these cgroups; of one that is ending, nobody can say that it was not.

        The kernel says of those that they are in the roots of version 1.
        """
        if self._proc.cgroups(look.pid) == cgroups:
            return True
        now = self._proc.stat(look.pid)
        return now is None or now.dead or now.ending or now.start_ticks != look.start_ticks
