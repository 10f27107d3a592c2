"""Decides whether a process may be touched.

PID 1, kernel threads, this process and its ancestors are never touched. A ``Protection`` adds programs (by device and
inode in the host's mount namespace), cgroups and users. A process name protects nothing.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
import stat
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, refused
from spyderresp.executors.local.procfs import Proc, ProcessStat, shown

# The most symbolic links in one path, as the kernel allows.
_MAX_LINKS: Final = 40
# Seconds between two reads of the inodes of protected programs.
_INTERVAL: Final = 1.0
# The cgroup of a system service, which only root can make. Below a user's slice anyone can make one.
_SERVICE: Final = re.compile(r"/system\.slice/(?:[^/]+\.slice/)*([^/]+)\.service(?:/|$)")
# A cgroup of a Kubernetes pod: below the folder of all pods, which only root can make, or seen from another cgroup
# namespace (`/..`), where that folder may not show, by the pod's uid. A user can make such a name below his own slice.
_OF_POD: Final = re.compile(
    r"(?:/\.\.)*(?:/kubelet(?:\.slice)?)?/(?:(?:kubelet-)?kubepods(?:[-./]|$)|pod[0-9a-f]{8}-[0-9a-f]{4}-)"
)


class Programs:
    """The protected files and users of the host. Safe to share between threads.

    Methods raise ``OSError`` if the host's files cannot be read.
    """

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._inodes: dict[tuple[str, ...], dict[tuple[int, int], str]] = {}
        self._read: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def inodes(self, paths: tuple[str, ...]) -> Mapping[tuple[int, int], str]:
        """Return device and inode of each program at these paths, with the path.

        Inodes of replaced files are not kept: another file may get them.
        """
        with self._lock:
            now = time.monotonic()
            known = self._inodes.setdefault(paths, {})
            if now - self._read.get(paths, -_INTERVAL) >= _INTERVAL:
                root = self.root()
                inodes = ((inode_at(root, path), path) for path in paths)
                known.clear()
                known.update({inode: path for inode, path in inodes if inode is not None})
                self._read[paths] = now
            return dict(known)

    def root(self) -> str:
        """Return the path of the host's root directory: the root of PID 1, or ``/`` if both are the same."""
        root = f"{self._proc.path}/1/root"
        try:
            os.stat(f"{root}/.")
        except PermissionError:
            # Without the right to read the root of PID 1, the list of its mounts can still be compared.
            if not self._proc.same_mounts():
                raise
            return "/"
        return root

    def in_cgroup(self, path: str) -> set[int]:
        """Return the pids in a cgroup of the host and below it."""
        base = f"{self.root().rstrip('/')}/sys/fs/cgroup"
        mounts = [
            mount for mount in (base, f"{base}/unified", f"{base}/systemd") if os.path.exists(f"{mount}/cgroup.procs")
        ]
        if not mounts:
            raise OSError(errno.ENOENT, "the host's cgroups are not visible in this cgroup namespace")
        return {
            int(line)
            for mount in mounts
            for folder, _, files in os.walk(f"{mount}{path}")
            if "cgroup.procs" in files
            for line in Path(folder, "cgroup.procs").read_text("ascii").split()
        }

    def uid(self, user: str | int) -> int | None:
        """Return the uid of a user of the host; None if there is no such user."""
        if isinstance(user, int) or user.isdecimal():
            return int(user)
        path = _resolved_path(self.root(), "/etc/passwd")
        if path is not None:
            for line in Path(path).read_text("utf-8", "replace").splitlines():
                fields = line.split(":")
                if fields[0] == user and len(fields) > 2 and fields[2].isdecimal():
                    return int(fields[2])
        # Users of a directory service are not in the file.
        try:
            return pwd.getpwnam(user).pw_uid
        except KeyError:
            return None


class ProtectedProcesses:
    """Decides for one step which processes must not be touched. Facts about the host are read once."""

    def __init__(self, proc: Proc, protection: Protection, programs: Programs) -> None:
        self._proc = proc
        self._protection = protection
        self._programs = programs
        self._inodes: Mapping[tuple[int, int], str] | None = None
        self._own: frozenset[int] | None = None
        self._sees_host_cgroups: bool | None = None
        # Inodes of executables, by path and mount namespace.
        self._exe_inodes: dict[tuple[str | None, str], tuple[int, int] | None] = {}

    def refusal(self, process: ProcessStat) -> Result | None:
        """Return why a held process must not be touched, or None. If a fact cannot be read, it must not."""
        name = f"pid {process.pid} `{process.shown}`"
        if process.pid == 1:
            return refused("never:init", "pid 1 is never touched")
        if process.kernel:
            return refused("never:kernel", f"`{process.shown}` is a kernel thread")
        if self._own is None:
            self._own = self._proc.own_pids()
        if process.pid in self._own:
            role = "this process" if process.pid == os.getpid() else "an ancestor of this process"
            return refused("never:ourselves", f"{name} is {role}")
        try:
            return self._protected(process.pid, name)
        except OSError as error:
            return refused("protected:unknown", f"it is not known whether {name} is protected: {error.strerror}")

    def _protected(self, pid: int, name: str) -> Result | None:
        """Return the refusal if a process is protected, or None. Raise ``OSError`` if a fact cannot be read."""
        if self._sees_host_cgroups is None:
            self._sees_host_cgroups = self._proc.same_cgroups()
        cgroups = [path for _, path in self._proc.cgroups(pid)]
        if (cgroup := self._protected_cgroup(pid, cgroups)) is not None:
            return refused("protected:cgroup", f"{name} is in {shown(cgroup)}, which is protected")
        uids = {int(word) for word in self._proc.status(pid).get("Uid", "").split()}
        # Any user can run a protected program: then it is not protected, and no file of the user is looked up.
        root = uids == {0}
        if root or not self._sees_host_cgroups or any(map(_SERVICE.match, cgroups)):
            path, replaced = self._program(pid)
            if path is not None and (root or self._in_own_service(pid, cgroups, path)):
                program = f"the replaced file of {path}" if replaced else path
                return refused("protected:executable", f"{name} runs {program}, which is protected")
        for user in self._protection.users:
            uid = self._programs.uid(user)
            if uid is None:
                return refused("protected:unknown", f"the protected user `{user}` does not exist on this host")
            if uid in uids:
                return refused("protected:user", f"{name} runs as `{user}`, who is protected")
        return None

    def namespace_refusal(self, process: ProcessStat, namespace: str | None) -> Result | None:
        """Return why a process in a Kubernetes namespace must not be touched, or None.

        Args:
            process: the process.
            namespace: the namespace that the event names, or None.
        """
        if namespace in self._protection.namespaces:
            return refused("protected:namespace", f"the namespace `{namespace}` is protected")
        if namespace is None and self._protection.unknown_namespaces:
            try:
                cgroups = self._proc.cgroups(process.pid)
            except OSError as error:
                return refused("protected:unknown", f"the cgroup of pid {process.pid} cannot be read: {error.strerror}")
            if any(_OF_POD.match(path) for _, path in cgroups):
                reason = f"pid {process.pid} `{process.shown}` is in a pod whose namespace the event does not name"
                return refused("protected:namespace", reason)
        return None

    def _program(self, pid: int) -> tuple[str | None, bool]:
        """Return the protected path of the program that a process runs, or None, and whether the file was replaced."""
        exe = self._proc.exe(pid)
        path = (exe or "").removesuffix(" (deleted)")
        if path in self._protection.executables:
            try:
                # Any user can make another mount namespace, with another file at the path.
                if self._mounts(pid) == self._mounts(1):
                    return path, path != exe
            except OSError:
                if path != exe:
                    raise
        if self._inodes is None:
            self._inodes = self._programs.inodes(self._protection.executables)
        inode = self._exe_inode(pid, exe)
        return (None if inode is None else self._inodes.get(inode)), False

    def _mounts(self, pid: int) -> str:
        return os.readlink(f"{self._proc.path}/{pid}/ns/mnt")

    def _exe_inode(self, pid: int, exe: str | None) -> tuple[int, int] | None:
        """Return device and inode of the executable of a process, or None.

        They are asked for in a thread, which waits long beside a fork bomb. So the answer for one path in one mount
        namespace is kept for the step.
        """
        try:
            key = exe, self._mounts(pid)
        except OSError:
            key = None, ""
        if key[0] is None:
            return self._proc.exe_inode(pid)
        if key not in self._exe_inodes:
            self._exe_inodes[key] = self._proc.exe_inode(pid)
        return self._exe_inodes[key]

    def _in_own_service(self, pid: int, cgroups: list[str], program: str) -> bool:
        """Return whether a process is in the system service of a program, such as ``ssh.service`` for ``sshd``."""
        names = _service_names(program)
        if not self._sees_host_cgroups:
            return any(pid in self._programs.in_cgroup(f"/system.slice/{name}.service") for name in names)
        matches = map(_SERVICE.match, cgroups)
        return any(match[1].partition("@")[0] in names for match in matches if match is not None)

    def _protected_cgroup(self, pid: int, cgroups: list[str]) -> str | None:
        """Return the protected cgroup that a process is in, or None."""
        for cgroup in self._protection.cgroups:
            if self._sees_host_cgroups:
                if any(f"{path}/".startswith(f"{cgroup.rstrip('/')}/") for path in cgroups):
                    return cgroup
            elif pid in self._programs.in_cgroup(cgroup):
                return cgroup
        return None


def _service_names(path: str) -> set[str]:
    """Return how the service of a program may be called: ``sshd`` runs in ``ssh``, ``dbus-daemon`` in ``dbus``."""
    name = path.rpartition("/")[2]
    return {name, name.removesuffix("d"), name.removesuffix("-daemon")}


def inode_at(root: str, path: str) -> tuple[int, int] | None:
    """Return device and inode of the file at a path, or None. Links are followed as if ``root`` were the root."""
    resolved = _resolved_path(root, path)
    if resolved is None:
        return None
    status = os.lstat(resolved)
    return status.st_dev, status.st_ino


def _resolved_path(root: str, path: str) -> str | None:
    """Return the path, seen from here, of the file that ``path`` names under the directory ``root``, or None."""
    left = [part for part in path.split("/") if part]
    at: list[str] = []
    for _ in range(_MAX_LINKS + len(left) * 4):
        if not left:
            break
        part = left.pop(0)
        if part == "..":
            at = at[:-1]
            continue
        here = "/".join((root, *at, part))
        try:
            if not stat.S_ISLNK(os.lstat(here).st_mode):
                at.append(part)
                continue
            target = os.readlink(here)
        except (FileNotFoundError, NotADirectoryError):
            return None
        left = [piece for piece in target.split("/") if piece not in ("", ".")] + left
        if target.startswith("/"):
            at = []
    return None if left or not at else "/".join((root, *at))
