"""``cgroup.kill``: where the target owns its cgroup nothing in it survives, whatever it forks."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from spyderresp.executors.local.proc import Proc, Stat
from spyderresp.executors.local.shield import Shield

_PAUSE: Final = 0.002


class Cgroup:
    """A version 2 cgroup whose oldest process is the target: so all others came of it.

    Args:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def freeze(self, until: float) -> None:
        """Stop everything in it, and wait for that, so long at the most.

        Raises:
            OSError: it cannot be frozen.
        """
        (self._folder / "cgroup.freeze").write_text("1")
        while "frozen 1" not in (self._folder / "cgroup.events").read_text() and time.monotonic() < until:
            time.sleep(_PAUSE)

    def thaw(self) -> None:
        """Let it go on."""
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


def owned_by(target: Stat, proc: Proc, shield: Shield, until: float) -> Cgroup | None:
    """Return the cgroup that a held target owns, frozen; None where it owns none.

    It owns one that has a kill file, is not the root, is not ours nor above ours, and in which no process is older
    than the target or must be spared. Older ones cannot have come of it; younger ones could only be put there by root.
    """
    path, ours = proc.cgroup2(target.pid), proc.cgroup2(os.getpid())
    if path is None or ours is None or path == "/" or path.startswith("/.."):
        return None
    if ours == path or ours.startswith(f"{path}/"):
        return None
    mount = _mount()
    if mount is None:
        return None
    folder = Path(f"{mount}{path}")
    if not (folder / "cgroup.kill").exists() or not (folder / "cgroup.freeze").exists():
        return None
    held = Cgroup(folder)
    try:
        held.freeze(until)
    except OSError:
        return None
    if proc.cgroup2(target.pid) == path and _all_younger(held, target, proc, shield):
        return held
    held.thaw()
    return None


def _all_younger(held: Cgroup, target: Stat, proc: Proc, shield: Shield) -> bool:
    pids = held.pids()
    if target.pid not in pids:
        return False
    for pid in pids:
        found = proc.stat(pid)
        if found is None:
            continue
        if found.start_ticks < target.start_ticks or shield.refusal(found) is not None:
            return False
    return True


def _mount() -> str | None:
    """Return where version 2 cgroups are mounted as we see them."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "backslashreplace").splitlines():
            fields, _, tail = line.partition(" - ")
            if tail.startswith("cgroup2 "):
                root, point = fields.split()[3:5]
                return point if root == "/" else None
    return None
