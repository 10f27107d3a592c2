"""Whom nothing may touch: PID 1, the kernel's own, ourselves, our ancestors, and what the host protects.

Protected programs are known by device and inode in the host's mount namespace, by cgroup and by user, never by a name.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, refused
from spyderresp.executors.local.procfs import Proc, ProcessStat, shown

_LINKS: Final = 40
# Seconds for which a look at the host's programs counts.
_FRESH: Final = 1.0


class Programs:
    """Which inodes the protected programs of the host have, looked up anew now and then, none forgotten.

    A program that is replaced while it runs keeps the inode that it was started from.
    """

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._found: dict[tuple[str, ...], dict[tuple[int, int], str]] = {}
        self._looked: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def inodes(self, paths: tuple[str, ...]) -> Mapping[tuple[int, int], str]:
        """Return device and inode of each program that was ever found at one of these paths, with the path.

        Raises:
            OSError: the host's files cannot be looked into: then nothing can be told apart.
        """
        with self._lock:
            now = time.monotonic()
            known = self._found.setdefault(paths, {})
            if now - self._looked.get(paths, -_FRESH) >= _FRESH:
                root = self.root()
                found = ((_resolved(root, path), path) for path in paths)
                known.update({inode: path for inode, path in found if inode is not None})
                self._looked[paths] = now
            return dict(known)

    def root(self) -> str:
        """Return where the host's files are: the root of PID 1, or ours where that is the very same.

        Raises:
            OSError: neither can be shown.
        """
        root = f"{self._proc.path}/1/root"
        try:
            os.stat(f"{root}/.")
        except PermissionError:
            # Who may not look through PID 1's eyes may still see that it has the same mounts, by their numbers.
            if not self._proc.same_mounts():
                raise
            return "/"
        return root

    def in_cgroup(self, path: str) -> set[int]:
        """Return the processes in one of the host's cgroups and below it, read where the host has them mounted.

        Raises:
            OSError: they are not to be seen.
        """
        base = f"{self.root().rstrip('/')}/sys/fs/cgroup"
        mounts = [
            mount for mount in (base, f"{base}/unified", f"{base}/systemd") if os.path.exists(f"{mount}/cgroup.procs")
        ]
        if not mounts:
            raise OSError(errno.ENOENT, "the host's cgroups cannot be seen from within ours")
        return {
            int(line)
            for mount in mounts
            for folder, _, files in os.walk(f"{mount}{path}")
            if "cgroup.procs" in files
            for line in Path(folder, "cgroup.procs").read_text("ascii").split()
        }

    def uid(self, user: str | int) -> int | None:
        """Return the number of one of the host's users, or None where nobody is called so.

        Raises:
            OSError: the host's list of users cannot be read.
        """
        if isinstance(user, int) or user.isdecimal():
            return int(user)
        place = _place(self.root(), "/etc/passwd")
        if place is not None:
            for line in Path(place).read_text("utf-8", "replace").splitlines():
                words = line.split(":")
                if words[0] == user and len(words) > 2 and words[2].isdecimal():
                    return int(words[2])
        # Users that a directory service knows.
        try:
            return pwd.getpwnam(user).pw_uid
        except KeyError:
            return None


class ProtectedProcesses:
    """Answers for one step: what it reads of the host it reads once.

    Args:
        proc: the host's ``/proc``.
        protection: what the host protects.
        programs: where protected programs are known from.
    """

    def __init__(self, proc: Proc, protection: Protection, programs: Programs) -> None:
        self._proc = proc
        self._protection = protection
        self._programs = programs
        self._inodes: Mapping[tuple[int, int], str] | None = None
        self._ours: frozenset[int] | None = None
        self._hosts_cgroups: bool | None = None

    def refusal(self, found: ProcessStat) -> Result | None:
        """Return why a held process must not be touched, or None. Where it cannot be told it must not."""
        if found.pid == 1:
            return refused("never:init", "pid 1 is never touched")
        if found.kernel:
            return refused("never:kernel", f"`{found.shown}` is a thread of the kernel")
        if self._ours is None:
            self._ours = frozenset(ancestors(self._proc))
        if found.pid in self._ours:
            who = "us" if found.pid == os.getpid() else "an ancestor of ours"
            return refused("never:ourselves", f"pid {found.pid} `{found.shown}` is {who}")
        try:
            return self._protected(found)
        except OSError as error:
            reason = f"whether pid {found.pid} `{found.shown}` is protected cannot be told: {error.strerror}"
            return refused("protected:unknown", reason)

    def _protected(self, found: ProcessStat) -> Result | None:
        who = f"pid {found.pid} `{found.shown}`"
        inode = self._proc.exe_inode(found.pid)
        if self._inodes is None:
            self._inodes = self._programs.inodes(self._protection.executables)
        if inode is not None and inode in self._inodes:
            return refused("protected:executable", f"{who} runs {self._inodes[inode]}, which is protected")
        if (path := self._replaced(found.pid)) is not None:
            return refused("protected:executable", f"{who} runs what {path} was before, which is protected")
        if (cgroup := self._guarded(found.pid)) is not None:
            return refused("protected:cgroup", f"{who} is in {shown(cgroup)}, which is protected")
        if self._protection.users:
            uids = {int(word) for word in self._proc.status(found.pid).get("Uid", "").split()}
            for user in self._protection.users:
                number = self._programs.uid(user)
                if number is None:
                    return refused(
                        "protected:unknown", f"`{user}` is protected, and there is no such user on this host"
                    )
                if number in uids:
                    return refused("protected:user", f"{who} runs as `{user}`, who is protected")
        return None

    def _guarded(self, pid: int) -> str | None:
        """Return the protected cgroup that a process is in, or None.

        Raises:
            OSError: we see cgroups from within one, and the host's are out of reach.
        """
        if self._hosts_cgroups is None and self._protection.cgroups:
            self._hosts_cgroups = self._proc.same_cgroups()
        for guarded in self._protection.cgroups:
            if self._hosts_cgroups:
                if any(f"{path}/".startswith(f"{guarded.rstrip('/')}/") for _, path in self._proc.cgroups(pid)):
                    return guarded
            elif pid in self._programs.in_cgroup(guarded):
                return guarded
        return None

    def _replaced(self, pid: int) -> str | None:
        """Return the protected path whose file a process of the host runs, though another stands there by now."""
        exe = self._proc.exe(pid) or ""
        path = exe.removesuffix(" (deleted)")
        if path == exe or path not in self._protection.executables:
            return None
        # Only in the host's own mount namespace does that path mean what it says; anyone can make one of his own.
        theirs, hosts = (os.readlink(f"{self._proc.path}/{whose}/ns/mnt") for whose in (pid, 1))
        return path if theirs == hosts else None


def ancestors(proc: Proc) -> Iterable[int]:
    """Yield us, our parent, its parent and so on."""
    pid = os.getpid()
    seen: set[int] = set()
    while pid and pid not in seen:
        seen.add(pid)
        yield pid
        found = proc.stat(pid)
        pid = found.ppid if found is not None else 0


def _resolved(root: str, path: str) -> tuple[int, int] | None:
    """Return device and inode of the file at a path, as one who lives under the root would find it."""
    place = _place(root, path)
    if place is None:
        return None
    found = os.lstat(place)
    return found.st_dev, found.st_ino


def _place(root: str, path: str) -> str | None:
    """Return where a path leads, links followed as one who lives under the root would follow them."""
    left = [part for part in path.split("/") if part]
    at: list[str] = []
    for _ in range(_LINKS + len(left) * 4):
        if not left:
            break
        part = left.pop(0)
        if part == "..":
            at = at[:-1]
            continue
        here = "/".join((root, *at, part))
        try:
            found = os.lstat(here)
            if not stat.S_ISLNK(found.st_mode):
                at.append(part)
                continue
            target = os.readlink(here)
        except (FileNotFoundError, NotADirectoryError):
            return None
        left = [piece for piece in target.split("/") if piece not in ("", ".")] + left
        if target.startswith("/"):
            at = []
    if left or not at:
        return None
    return "/".join((root, *at))
