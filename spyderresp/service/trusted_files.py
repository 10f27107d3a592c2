"""Which files a service that can kill may trust: files that only root and its own user can change."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Final

from spyderresp.policies.diagnostics import Findings
from spyderresp.policies.loader import walk

_MAX_LINKS: Final = 40
# The bit of CAP_KILL in CapEff of /proc/self/status: it allows to signal every process.
_CAP_KILL: Final = 1 << 5


def privileged() -> bool:
    """Return whether this process may signal processes of other users: it runs as root or has CAP_KILL."""
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
    """Return why a file or directory must not be trusted; None: it can be trusted.

    The file, every directory of its path and every symbolic link on the way must belong to root or to this user, and no
    one else may be able to write them. Exceptions: a sticky directory that all may write, because only the owner of an
    entry can replace it; and files on a file system that is mounted read-only.
    """
    try:
        return next(_reasons(path), None)
    except OSError as error:
        # A path that cannot be checked is not trusted.
        return f"{path}: cannot be checked: {(error.strerror or 'it failed').lower()}"


def untrusted_files(path: str) -> Iterator[str]:
    """Yield why policies at a path must not be trusted: for the path itself, or for each file below it."""
    if (reason := untrusted_reason(path)) is not None:
        yield reason
    elif os.path.isdir(path):
        yield from filter(None, map(untrusted_reason, walk(path, Findings())))


def _reasons(path: str) -> Iterator[str]:
    ours = {0, os.geteuid()}
    left = [part for part in reversed(os.path.abspath(path).split("/")) if part]
    current, links = "/", 0
    while True:
        status = os.lstat(current)
        if status.st_uid not in ours:
            yield f"{path}: {_named(current, path)} belongs to user {status.st_uid}"
        link = stat.S_ISLNK(status.st_mode)
        loose = not link and bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
        # Only the owner of an entry can replace it in a sticky directory; the next turn checks that owner.
        sticky = loose and stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX) and bool(left)
        if loose and not sticky and not os.statvfs(current).f_flag & os.ST_RDONLY:
            writers = "everybody" if status.st_mode & stat.S_IWOTH else f"group {status.st_gid}"
            yield f"{path}: {_named(current, path)} may be written by {writers}"
        if link:
            links += 1
            if links > _MAX_LINKS:
                yield f"{path}: too many links"
                return
            target = os.readlink(current)
            left += [part for part in reversed(target.split("/")) if part and part != "."]
            current = "/" if target.startswith("/") else os.path.dirname(current)
        if not left:
            return
        part = left.pop()
        current = os.path.dirname(current) if part == ".." else os.path.join(current, part)


def _named(current: str, path: str) -> str:
    return "it" if current == os.path.abspath(path) else current
