"""Kills a process tree: stops processes from the target down until no new one is found, then kills them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Final

from spyderresp.execution.report import Result
from spyderresp.executors.local.ancestry import descends_from, is_orphan_of
from spyderresp.executors.local.cgroup import Cgroup, freeze_owned_cgroup
from spyderresp.executors.local.process_handle import HeldProcess
from spyderresp.executors.local.process_set import ProcessSet, kill_result, realtime_priority
from spyderresp.executors.local.procfs import ProcessStat

# How often to search all processes for escaped ones, and how often to search the newest one between two searches.
_MAX_SEARCHES: Final = 20
_NEWEST_SEARCHES: Final = 20


class HeldForTree(HeldProcess):
    """Kills the target and all of its descendants."""

    def __post_init__(self) -> None:
        self._cgroups = self.proc.cgroups(self.target.pid)

    def act(self) -> Result:
        """Stop the whole tree, kill it, and wait for its death. Use the target's cgroup if the target owns it."""
        if self.pidfd.ended:
            return self.gone()
        if (refusal := self.refusal()) is not None:
            return refusal
        with realtime_priority():
            return self._kill()

    def _kill(self) -> Result:
        processes = ProcessSet(self.proc, self.protected)
        until = time.monotonic() + self.settle
        cgroups = self.proc.cgroups(self.target.pid)
        target = self.proc.stat(self.target.pid)
        if target is None or target.exiting:
            # The kernel shows an exiting process in other cgroups than before.
            cgroups = self._cgroups
        # While the cgroup is frozen, its processes cannot fork.
        cgroup = freeze_owned_cgroup(self.target, self.proc, self.protected, self.ancestors, until)
        try:
            with processes:
                settled = self._stop(processes, until, frozen=cgroup is not None)
                if cgroup is not None:
                    return self._kill_cgroup(processes, cgroup)
                processes.kill()
        finally:
            if cgroup is not None:
                cgroup.thaw()
        survivors = processes.survivors(time.monotonic() + self.wait)
        late = self._descendants(processes) if processes.members else []
        escaped = [*late, *self._escaped_orphans(processes, cgroups)]
        return kill_result(processes, survivors, escaped, settled=settled, what=f"tree of {self.shown}")

    def _kill_cgroup(self, processes: ProcessSet, cgroup: Cgroup) -> Result:
        for process in self._inside(cgroup) if cgroup.container else cgroup.members:
            processes.stop(process)
        # The tree may have members in other cgroups. SIGKILL works on frozen processes too.
        processes.kill()
        if cgroup.container:
            cgroup.kill()
        until = time.monotonic() + self.wait
        emptied = cgroup.wait_until_empty(until)
        survivors = processes.survivors(until)
        escaped = [process for process in self._inside(cgroup) if not processes.holds(process)]
        what = f"tree of {self.shown}, by its cgroup"
        return kill_result(processes, survivors, escaped, settled=emptied, what=what)

    def _inside(self, cgroup: Cgroup) -> Iterable[ProcessStat]:
        """Yield the living processes of a cgroup."""
        for pid in cgroup.pids():
            process = self.proc.stat(pid)
            if process is not None and not process.dead:
                yield process

    def _stop(self, processes: ProcessSet, until: float, *, frozen: bool) -> bool:
        """Stop the target and its descendants until no new one is found; return False if ``until`` was over first."""
        target = self.proc.same(self.target)
        if target is not None:
            processes.stop(target)
        while True:
            new = False
            for process in self._descendants(processes):
                new = processes.stop(process, processes.is_child_of_member) or new
            stopped = frozen or processes.wait_until_stopped(until)
            if not new and stopped:
                return True
            if time.monotonic() >= until:
                return False

    def _descendants(self, processes: ProcessSet) -> list[ProcessStat]:
        """Return the living descendants of members that are not members yet, parents before children.

        Descendants of a spared process are included.
        """
        everyone = self.proc.all_processes()
        children: dict[int, list[ProcessStat]] = {}
        for process in everyone.values():
            children.setdefault(process.ppid, []).append(process)
        descendants: list[ProcessStat] = []
        parents = [process.pid for process in everyone.values() if processes.holds(process)]
        seen = set(parents)
        while parents:
            for process in children.get(parents.pop(), ()):
                # A child of this process is never in a tree, even if this process is below the target.
                if process.pid not in seen and process.ppid != os.getpid():
                    seen.add(process.pid)
                    parents.append(process.pid)
                    if not process.dead:
                        descendants.append(process)
        return descendants

    def _escaped_orphans(self, processes: ProcessSet, cgroups: list[tuple[str, str]]) -> list[ProcessStat]:
        """Return the processes that may come from the tree and were given to a reaper before they were found.

        Such processes cannot be proven to come from the tree. Naming an unrelated one is better than the outcome `done`
        with a survivor. A process that forks and exits all the time can be missed in a list of all processes. So while
        processes are forked, the newest one is looked at by its pid, again and again.
        """
        for _ in range(_MAX_SEARCHES):
            forks = self.proc.forks()
            escaped = self._orphans_among(self.proc.all_processes(), processes, cgroups)
            if escaped or (forks is not None and forks == self.proc.forks()):
                return escaped
            for _ in range(_NEWEST_SEARCHES):
                if escaped := self._orphans_among(self._newest(), processes, cgroups):
                    return escaped
        return []

    def _newest(self) -> dict[int, ProcessStat]:
        """Return the newest process with its ancestors, by pid; empty if it is gone."""
        return {process.pid: process for process in self.proc.lineage(self.proc.last_pid() or 0)}

    def _orphans_among(
        self, candidates: Mapping[int, ProcessStat], processes: ProcessSet, cgroups: list[tuple[str, str]]
    ) -> list[ProcessStat]:
        """Return the candidates that are not members and may be orphans of the tree, or descend from such an orphan.

        Args:
            candidates: processes by pid, with their ancestors.
            processes: the members.
            cgroups: the cgroups of the target.
        """
        own = self.proc.own_pids()
        tree = [self.target, *processes.members.values()]
        orphans: dict[int, bool] = {}
        escaped = []
        for process in candidates.values():
            if process.dead or process.kernel or process.pid in own or processes.holds(process):
                continue
            root = descends_from(self.target, process, candidates)
            if root is None or root.pid in own or processes.holds(root):
                continue
            if root.pid not in orphans:
                orphan = is_orphan_of(tree, root, candidates, self.ancestors, self.target.start_ticks)
                orphans[root.pid] = orphan != "no" and self._may_have_been_in(cgroups, root)
            if orphans[root.pid]:
                escaped.append(process)
        return escaped

    def _may_have_been_in(self, cgroups: list[tuple[str, str]], process: ProcessStat) -> bool:
        """Return whether a process is in these cgroups, or is exiting: then the kernel shows it in other cgroups."""
        if self.proc.cgroups(process.pid) == cgroups:
            return True
        now = self.proc.same(process)
        return now is None or now.dead or now.exiting
