"""Which files a service that can kill may believe: those that nobody but root and itself can change."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Final

from spyderresp.policies.diagnostics import Findings
from spyderresp.policies.loader import walk

_MOST_LINKS: Final = 40
# Bits of CapEff in /proc/self/status: CAP_KILL lets signal every process.
_CAP_KILL: Final = 1 << 5


def privileged() -> bool:
    """Tell whether this process may signal other users' processes: it is root's, or was given CAP_KILL."""
    if os.geteuid() == 0:
        return True
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/self/status", encoding="ascii", errors="replace") as file,
    ):
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) & _CAP_KILL)
    return False


def untrusted_reason(path: str) -> str | None:
    """Return why a file or directory is not to be believed, or None.

    Every directory on the way, and every link that is followed, must belong to root or to this user and be writable
    by nobody else. A directory that all may write is fine where it is sticky, for what is in it can then be replaced by
    its owner only; so is what lies on a file system that is mounted read-only.
    """
    try:
        return next(_reasons(path), None)
    except OSError as error:
        # Who reads it will say so too; that it could not be looked at must not pass for trust.
        return f"{path}: cannot be looked at: {(error.strerror or 'it failed').lower()}"


def untrusted_files(path: str) -> Iterator[str]:
    """Yield why policies at a path are not to be believed: the path itself, and each file that is read below it."""
    if (reason := untrusted_reason(path)) is not None:
        yield reason
    elif os.path.isdir(path):
        yield from filter(None, map(untrusted_reason, walk(path, Findings())))


def _reasons(path: str) -> Iterator[str]:
    ours = {0, os.geteuid()}
    left = [part for part in reversed(os.path.abspath(path).split("/")) if part]
    place, links = "/", 0
    while True:
        status = os.lstat(place)
        if status.st_uid not in ours:
            yield f"{path}: {_named(place, path)} belongs to user {status.st_uid}"
        link = stat.S_ISLNK(status.st_mode)
        loose = not link and bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
        # In a sticky directory each entry is its owner's; an entry that is another's was refused above.
        sticky = loose and stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX) and bool(left)
        if loose and not sticky and not os.statvfs(place).f_flag & os.ST_RDONLY:
            who = "everybody" if status.st_mode & stat.S_IWOTH else f"group {status.st_gid}"
            yield f"{path}: {_named(place, path)} may be written by {who}"
        if link:
            links += 1
            if links > _MOST_LINKS:
                yield f"{path}: too many links"
                return
            meant = os.readlink(place)
            left += [part for part in reversed(meant.split("/")) if part and part != "."]
            place = "/" if meant.startswith("/") else os.path.dirname(place)
        if not left:
            return
        part = left.pop()
        place = os.path.dirname(place) if part == ".." else os.path.join(place, part)


def _named(place: str, path: str) -> str:
    return "it" if place == os.path.abspath(path) else place
