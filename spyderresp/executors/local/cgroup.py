"""Kills a process tree by its cgroup. If the target owns its cgroup, no process in it can escape.

The cgroup is frozen, its members are checked, and then all of them are killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from spyderresp.executors.local.ancestry import descends_from, is_orphan_of
from spyderresp.executors.local.procfs import Proc, ProcessStat
from spyderresp.executors.local.protected_processes import ProtectedProcesses

_PAUSE: Final = 0.002
# The cgroup names that container runtimes use for a container, with systemd and without.
_CONTAINER: Final = re.compile(
    r"/(?:(?:docker|cri-containerd|crio|libpod|nerdctl|containerd)-[0-9a-f]{12,64}\.scope|[0-9a-f]{64})(?:/container)?$"
)


class Cgroup:
    """A version 2 cgroup. Times are in ``time.monotonic`` seconds.

    Attributes:
        container: whether it is the cgroup of a container.
        members: the processes in it and below it, read while it was frozen.
    """

    def __init__(self, folder: Path, *, container: bool) -> None:
        self._folder = folder
        self._was_frozen = False
        self.container = container
        self.members: tuple[ProcessStat, ...] = ()

    def freeze(self, until: float) -> bool:
        """Freeze all processes in it; return False if ``until`` was over first.

        Raises:
            OSError: it cannot be frozen.
        """
        self._was_frozen = (self._folder / "cgroup.freeze").read_text().strip() == "1"
        (self._folder / "cgroup.freeze").write_text("1")
        while "frozen 1" not in (self._folder / "cgroup.events").read_text():
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE)
        return True

    def thaw(self) -> None:
        """Let its processes run again, unless it was frozen before ``freeze``."""
        if not self._was_frozen:
            with contextlib.suppress(OSError):
                (self._folder / "cgroup.freeze").write_text("0")

    def pids(self) -> set[int]:
        """Return the pids in it and below it."""
        pids: set[int] = set()
        for file in [self._folder / "cgroup.procs", *self._folder.glob("**/cgroup.procs")]:
            with contextlib.suppress(OSError):
                pids.update(int(line) for line in file.read_text().split())
        return pids

    def kill(self) -> None:
        """Kill all processes in it and below it at once.

        Raises:
            OSError: they cannot be killed.
        """
        (self._folder / "cgroup.kill").write_text("1")

    def wait_until_empty(self, until: float) -> bool:
        """Wait until no process is in it; return False if ``until`` was over first."""
        while True:
            try:
                if "populated 0" in (self._folder / "cgroup.events").read_text():
                    return True
            except OSError:
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE)


def freeze_owned_cgroup(
    target: ProcessStat, proc: Proc, protected: ProtectedProcesses, ancestors: Collection[int], until: float
) -> Cgroup | None:
    """Freeze the cgroup that a held target owns and return it; None: the target owns none, or it cannot be frozen.

    A target owns its version 2 cgroup if the cgroup is not the root, does not contain this process, and contains no
    process that is older than the target or protected. Also, it must be the cgroup of a container, or all of its
    processes must come from the target. Younger processes need not come from it: root can move them into a cgroup.
    """
    path, own_path = proc.cgroup2(target.pid), proc.cgroup2(os.getpid())
    if path is None or own_path is None or path == "/" or path.startswith("/.."):
        return None
    if own_path == path or own_path.startswith(f"{path}/"):
        return None
    mount = _mount_point()
    folder = None if mount is None else Path(f"{mount}{path}")
    if folder is None or not (folder / "cgroup.kill").exists() or not (folder / "cgroup.freeze").exists():
        return None
    cgroup = Cgroup(folder, container=_CONTAINER.search(path) is not None)
    # Check before freezing: a cgroup with processes of others must not stop even for a moment.
    if _members_of_target(cgroup, target, proc, protected, ancestors) is None:
        return None
    try:
        frozen = cgroup.freeze(until)
    except OSError:
        cgroup.thaw()
        return None
    same = proc.cgroup2(target.pid) == path
    members = _members_of_target(cgroup, target, proc, protected, ancestors) if same else None
    if members is None or not (frozen or cgroup.container):
        cgroup.thaw()
        return None
    cgroup.members = members
    return cgroup


def _members_of_target(
    cgroup: Cgroup, target: ProcessStat, proc: Proc, protected: ProtectedProcesses, ancestors: Collection[int]
) -> tuple[ProcessStat, ...] | None:
    """Return the living processes of a cgroup if the target owns it, else None."""
    processes = proc.all_processes()
    members = [processes[pid] for pid in cgroup.pids() if pid in processes and not processes[pid].dead]
    if target.pid not in {member.pid for member in members}:
        return None
    below = {member.pid: member for member in members if descends_from(target, member, processes) is target}
    for member in members:
        if member.start_ticks < target.start_ticks or protected.refusal(member) is not None:
            return None
        if cgroup.container or member.pid in below:
            continue
        root = descends_from(target, member, processes)
        if root is None or not _is_orphan(root, target, below.values(), processes, ancestors):
            return None
    return tuple(members)


def _is_orphan(
    root: ProcessStat,
    target: ProcessStat,
    below: Collection[ProcessStat],
    processes: Mapping[int, ProcessStat],
    ancestors: Collection[int],
) -> bool:
    """Return whether a process in the target's cgroup came from the target, although it is not below it."""
    orphan = is_orphan_of(below, root, processes, ancestors, target.start_ticks)
    # PID 1 starts services in cgroups of their own, and not in the cgroup of another process's child.
    return orphan == "yes" or (orphan == "maybe" and root.ppid == 1 and target.ppid != 1)


def frozen_processes(pids: Iterable[int], proc: Proc) -> set[int]:
    """Return the pids whose version 2 cgroup is frozen: such a process is in state S, and runs no code."""
    mount = _mount_point()
    frozen: dict[str | None, bool] = {None: False}
    found = set()
    for pid in pids if mount is not None else ():
        path = proc.cgroup2(pid)
        if path not in frozen:
            try:
                frozen[path] = "frozen 1" in Path(f"{mount}{path}", "cgroup.events").read_text()
            except OSError:
                frozen[path] = False
        if frozen[path]:
            found.add(pid)
    return found


def _mount_point() -> str | None:
    """Return where the root of the version 2 cgroups is mounted, or None."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "backslashreplace").splitlines():
            fields, _, tail = line.partition(" - ")
            root, point = fields.split()[3:5]
            if tail.startswith("cgroup2 ") and root == "/":
                return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
    return None
