"""Finds out whether a process is a descendant of another, also after its own parent ended.

When a parent ends, the kernel gives its children to a reaper: PID 1 or a subreaper. Nothing records the old parent, but
a process keeps what it inherited: session, process group and memory layout.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection, Mapping
from typing import Final, Literal

from spyderresp.executors.local.procfs import ProcessStat

_PR_GET_CHILD_SUBREAPER: Final = 37

#: Whether a process is an orphan of a tree. ``maybe``: it may be a child of its current parent instead.
Orphan = Literal["yes", "maybe", "no"]


def is_orphan_of(
    tree: Collection[ProcessStat],
    process: ProcessStat,
    processes: Mapping[int, ProcessStat],
    ancestors: Collection[int],
    since: int,
) -> Orphan:
    """Return whether a process that is not below a tree came from it and was given to a reaper.

    Args:
        tree: the processes of the tree.
        process: the process.
        processes: all processes by pid, of about the same moment.
        ancestors: the pids of the ancestors of the tree; each may be a reaper, as PID 1 is.
        since: the start tick of the root of the tree.
    """
    parent = processes.get(process.ppid)
    if process.start_ticks < since or (process.ppid != 1 and (process.ppid not in ancestors or parent is None)):
        return "no"
    if process.ppid == os.getpid() and not is_subreaper():
        return "no"
    if parent is None:
        return "maybe"
    # A child inherits its session id. A session that is neither the process's own pid nor its current parent's session
    # means that the process had another parent before.
    adopted = process.session not in (process.pid, parent.session)
    if adopted and (process.session not in processes or process.session in {member.session for member in tree}):
        return "yes"
    if process.pgid != parent.pgid and process.pgid in {member.pid for member in tree}:
        return "yes"
    layouts = {member.layout for member in tree}
    if any(process.layout) and process.layout != parent.layout and process.layout in layouts:
        return "yes"
    own_child = process.session == parent.session and process.pgid not in {member.pgid for member in tree}
    return "no" if own_child and process.ppid != 1 else "maybe"


def descends_from(
    target: ProcessStat, process: ProcessStat, processes: Mapping[int, ProcessStat]
) -> ProcessStat | None:
    """Return ``target`` if a process is the target or below it. ``processes`` are all processes by pid.

    Otherwise return the topmost process above it, or the process itself, that is no older than the target and is not
    PID 1; None if there is none.
    """
    seen = set()
    while process.pid not in seen:
        seen.add(process.pid)
        if process.pid == target.pid:
            return target
        parent = processes.get(process.ppid)
        if parent is None or parent.start_ticks < target.start_ticks or parent.pid == 1:
            return process if process.start_ticks >= target.start_ticks else None
        process = parent
    return None


def is_subreaper() -> bool:
    """Return whether the kernel may give orphans to this process."""
    if os.getpid() == 1:
        return True
    answer = ctypes.c_int(1)
    failed = ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(failed) or bool(answer.value)
