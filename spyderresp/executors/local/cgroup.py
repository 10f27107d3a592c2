"""Where the target owns its cgroup nothing in it survives, whatever it forks: frozen, looked at, killed."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from spyderresp.executors.local.ancestry import descends_from, is_orphan_of
from spyderresp.executors.local.procfs import Proc, ProcessStat
from spyderresp.executors.local.protected_processes import ProtectedProcesses

_PAUSE: Final = 0.002
# How the container runtimes call what they put a container into: by systemd, or by themselves.
_SCOPE: Final = re.compile(
    r"/(?:(?:docker|cri-containerd|crio|libpod|nerdctl|containerd)-[0-9a-f]{12,64}\.scope|[0-9a-f]{64})(?:/container)?$"
)


class Cgroup:
    """A version 2 cgroup.

    Args:
        folder: where it is.
        scope: whether it is a container's.

    Attributes:
        scope: whether it is a container's.
        members: the processes in it and below it that were found to be the target's own, once it was frozen.
    """

    def __init__(self, folder: Path, *, scope: bool) -> None:
        self._folder = folder
        self._was_frozen = False
        self.scope = scope
        self.members: tuple[ProcessStat, ...] = ()

    def freeze(self, until: float) -> bool:
        """Stop everything in it, and wait for that, so long at the most; tell whether it came to that.

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
        """Let it go on, unless it was frozen before."""
        if not self._was_frozen:
            with contextlib.suppress(OSError):
                (self._folder / "cgroup.freeze").write_text("0")

    def pids(self) -> set[int]:
        """Return the processes in it and below it."""
        found: set[int] = set()
        for file in [self._folder / "cgroup.procs", *self._folder.glob("**/cgroup.procs")]:
            with contextlib.suppress(OSError):
                found.update(int(line) for line in file.read_text().split())
        return found

    def kill(self) -> None:
        """Kill all of it at once.

        Raises:
            OSError: it cannot be.
        """
        (self._folder / "cgroup.kill").write_text("1")

    def emptied(self, until: float) -> bool:
        """Wait until nothing lives in it, so long at the most, and tell whether nothing does."""
        while True:
            try:
                if "populated 0" in (self._folder / "cgroup.events").read_text():
                    return True
            except OSError:
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE)


def owned_by(
    target: ProcessStat, proc: Proc, shield: ProtectedProcesses, parents: Collection[int], until: float
) -> Cgroup | None:
    """Return the cgroup that a held target owns, frozen; None where it owns none.

    It owns a version 2 cgroup that is not the root, not ours nor above ours, in which nobody is older than it or must
    be spared, and which is a container's, or in which everybody shows to have come of it. Who is younger need not:
    root puts processes into cgroups.
    """
    path, ours = proc.cgroup2(target.pid), proc.cgroup2(os.getpid())
    if path is None or ours is None or path == "/" or path.startswith("/.."):
        return None
    if ours == path or ours.startswith(f"{path}/"):
        return None
    mount = _mount()
    folder = None if mount is None else Path(f"{mount}{path}")
    if folder is None or not (folder / "cgroup.kill").exists() or not (folder / "cgroup.freeze").exists():
        return None
    held = Cgroup(folder, scope=_SCOPE.search(path) is not None)
    # Looked at before it is touched: who shares it with others must not stop them even for a moment.
    if _owned(held, target, proc, shield, parents) is None:
        return None
    try:
        frozen = held.freeze(until)
    except OSError:
        held.thaw()
        return None
    members = _owned(held, target, proc, shield, parents) if proc.cgroup2(target.pid) == path else None
    if members is None or not (frozen or held.scope):
        held.thaw()
        return None
    held.members = members
    return held


def _owned(
    held: Cgroup, target: ProcessStat, proc: Proc, shield: ProtectedProcesses, parents: Collection[int]
) -> tuple[ProcessStat, ...] | None:
    """Return the processes of a cgroup if all of them are the target's own, else None."""
    everyone = proc.everyone()
    inside = [everyone[pid] for pid in held.pids() if pid in everyone and not everyone[pid].dead]
    if target.pid not in {look.pid for look in inside}:
        return None
    own = {look.pid: look for look in inside if descends_from(target, look, everyone) is target}
    for look in inside:
        if look.start_ticks < target.start_ticks or shield.refusal(look) is not None:
            return None
        if held.scope or look.pid in own:
            continue
        root = descends_from(target, look, everyone)
        if root is None or not _taken_in(root, target, tuple(own.values()), everyone, parents):
            return None
    return tuple(inside)


def _taken_in(
    root: ProcessStat,
    target: ProcessStat,
    own: tuple[ProcessStat, ...],
    everyone: dict[int, ProcessStat],
    parents: Collection[int],
) -> bool:
    """Tell whether a process that is not below the target came of it all the same."""
    kin = is_orphan_of(own, root, everyone, parents, target.start_ticks)
    # PID 1 starts processes too, but puts none into the cgroup of somebody else's child.
    return kin == "yes" or (kin == "maybe" and root.ppid == 1 and target.ppid != 1)


def _mount() -> str | None:
    """Return where all version 2 cgroups that we see are mounted."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "backslashreplace").splitlines():
            fields, _, tail = line.partition(" - ")
            root, point = fields.split()[3:5]
            if tail.startswith("cgroup2 ") and root == "/":
                return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
    return None
