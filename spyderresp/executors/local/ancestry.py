"""Where a process came from, as far as anything still shows it.

A process whose parent ended is given to a reaper, and nothing says whose child it was. What it was born with remains.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Collection, Mapping
from typing import Final, Literal

from spyderresp.executors.local.procfs import ProcessStat

_PR_GET_CHILD_SUBREAPER: Final = 37

#: Whether a process is an orphan of a tree. ``maybe``: it may as well be its parent's own child.
Orphan = Literal["yes", "maybe", "no"]


def is_orphan_of(
    tree: Collection[ProcessStat],
    look: ProcessStat,
    everyone: Mapping[int, ProcessStat],
    parents: Collection[int],
    since: int,
) -> Orphan:
    """Tell whether a process that is not below a tree came of it and was given to its parent.

    Args:
        tree: the tree's processes.
        look: the process.
        everyone: all processes of about the same moment.
        parents: the target's parent, that one's parent and so on: each may be a reaper, as PID 1 is.
        since: the tick at which the target started.
    """
    parent = everyone.get(look.ppid)
    if look.start_ticks < since or (look.ppid != 1 and (look.ppid not in parents or parent is None)):
        return "no"
    if look.ppid == os.getpid() and not is_subreaper():
        return "no"
    if parent is None:
        return "maybe"
    # A session passes from parent to child: one that is neither its own nor its parent's was another parent's.
    strange = look.session not in (look.pid, parent.session)
    if strange and (look.session not in everyone or look.session in {member.session for member in tree}):
        return "yes"
    groups = {member.pid for member in tree}
    if look.pgid != parent.pgid and look.pgid in groups:
        return "yes"
    if any(look.layout) and look.layout != parent.layout and look.layout in {member.layout for member in tree}:
        return "yes"
    plainly = look.session == parent.session and look.pgid not in {member.pgid for member in tree}
    return "no" if plainly and look.ppid != 1 else "maybe"


def descends_from(target: ProcessStat, look: ProcessStat, everyone: Mapping[int, ProcessStat]) -> ProcessStat | None:
    """Return the target where a process is below it, else the last of its ancestors that is no older than the target.

    None where there is no such one.
    """
    seen = set()
    while look.pid not in seen:
        seen.add(look.pid)
        if look.pid == target.pid:
            return target
        above = everyone.get(look.ppid)
        if above is None or above.start_ticks < target.start_ticks or above.pid == 1:
            return look if look.start_ticks >= target.start_ticks else None
        look = above
    return None


@functools.lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def is_subreaper() -> bool:
    """Tell whether orphans are given to us."""
    if os.getpid() == 1:
        return True
    answer = ctypes.c_int(1)
    failed = _libc().prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(failed) or bool(answer.value)
