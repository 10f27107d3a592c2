"""Reads processes from ``/proc``. A process may end at any time, so readers return None or nothing if it is gone."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

# Flags of field 9 of /proc/PID/stat (PF_KTHREAD and PF_EXITING of the kernel).
_KERNEL_THREAD: Final = 0x00200000
_EXITING: Final = 0x00000004
_DELETED: Final = " (deleted)"
# Two clocks count as read at the same time if the reads took at most so many seconds; how often to try.
_SAME_TIME: Final = 0.001
_MAX_READS: Final = 10
#: Seconds in which a file system that a target may control must answer.
_ANSWER_SECONDS: Final = 0.1
#: Questions that may be without an answer at a time.
_asking: Final = threading.BoundedSemaphore(64)
_Answer = TypeVar("_Answer")
#: The cgroup namespace that the kernel starts with. Its inode is fixed: ``include/uapi/linux/nsfs.h``.
INITIAL_CGROUP_NAMESPACE: Final = "cgroup:[4026531835]"


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """A process as ``/proc/PID/stat`` showed it at one moment.

    Attributes:
        pid: its pid.
        name: its name; a process can change its own name.
        state: the state letter of the main thread.
        ppid: the pid of its parent at that moment.
        pgid: the id of its process group.
        session: the id of its session.
        start_ticks: when it started, in clock ticks since boot. Boot, pid and start ticks identify a process.
        threads: the number of its threads.
        kernel: whether it is a kernel thread.
        exiting: whether its main thread is exiting; other threads may still run.
        layout: addresses of its program and its first stack. A child shares them with its parent until one of the two
            executes a program; unrelated processes hardly ever do. All zero if they may not be read.
    """

    pid: int
    name: str
    state: str
    ppid: int
    pgid: int
    session: int
    start_ticks: int
    threads: int
    kernel: bool
    exiting: bool = False
    layout: tuple[int, int, int] = (0, 0, 0)

    @property
    def shown(self) -> str:
        """The name, escaped for messages."""
        return shown(self.name)

    @property
    def dead(self) -> bool:
        """Whether all of its threads have ended, also if it is not reaped yet."""
        return self.state in "ZXx" and self.threads <= 1

    def to_dict(self) -> dict[str, Any]:
        """Return pid, name and start ticks as JSON data."""
        return {"pid": self.pid, "name": self.name, "start_ticks": self.start_ticks}


class Proc:
    """A mounted ``/proc``.

    Args:
        path: where it is mounted.
    """

    def __init__(self, path: str = "/proc") -> None:
        self.path = path

    def stat(self, pid: int | str) -> ProcessStat | None:
        """Return a process, or a thread if ``pid`` is ``PID/task/TID``; None if it is gone."""
        try:
            data = Path(f"{self.path}/{pid}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name can contain brackets and newlines; the last closing bracket ends it.
        head, _, tail = data.rpartition(b")")
        fields = tail.split()
        return ProcessStat(
            pid=int(str(pid).rpartition("/")[2]),
            name=head.partition(b"(")[2].decode("utf-8", "backslashreplace"),
            state=fields[0].decode("ascii"),
            ppid=int(fields[1]),
            pgid=int(fields[2]),
            session=int(fields[3]),
            start_ticks=int(fields[19]),
            threads=int(fields[17]),
            kernel=bool(int(fields[6]) & _KERNEL_THREAD),
            exiting=bool(int(fields[6]) & _EXITING),
            layout=(int(fields[23]), int(fields[24]), int(fields[25])),
        )

    def same(self, process: ProcessStat) -> ProcessStat | None:
        """Return a process as it is now; None if it is gone or its pid belongs to another process."""
        now = self.stat(process.pid)
        return now if now is not None and now.start_ticks == process.start_ticks else None

    def all_processes(self) -> dict[int, ProcessStat]:
        """Return all processes by pid, without those that end meanwhile."""
        with os.scandir(self.path) as entries:
            processes = (self.stat(entry.name) for entry in entries if entry.name.isdecimal())
            return {process.pid: process for process in processes if process is not None}

    def lineage(self, pid: int) -> Iterator[ProcessStat]:
        """Yield the process with a pid, its parent, and so on."""
        seen: set[int] = set()
        while pid not in seen and (process := self.stat(pid)) is not None:
            seen.add(pid)
            yield process
            pid = process.ppid

    def own_pids(self) -> frozenset[int]:
        """Return the pids of this process and of its ancestors."""
        return frozenset({os.getpid(), *(process.pid for process in self.lineage(os.getpid()))})

    def threads(self, pid: int) -> list[int]:
        """Return the thread ids of a process, sorted; empty if it is gone."""
        try:
            return sorted(int(name) for name in os.listdir(f"{self.path}/{pid}/task"))
        except (FileNotFoundError, ProcessLookupError):
            return []

    def states(self, pid: int) -> set[str]:
        """Return the state letters of the threads of a process; empty if it is gone."""
        threads = (self.stat(f"{pid}/task/{tid}") for tid in self.threads(pid))
        return {thread.state for thread in threads if thread is not None}

    def status(self, pid: int | str) -> dict[str, str]:
        """Return the fields of ``/proc/PID/status``; empty if the process is gone."""
        try:
            text = Path(f"{self.path}/{pid}/status").read_text("utf-8", "backslashreplace")
        except (FileNotFoundError, ProcessLookupError):
            return {}
        pairs = (line.partition(":") for line in text.splitlines())
        return {key: value.strip() for key, _, value in pairs}

    def exe(self, pid: int) -> str | None:
        """Return the path of a process's executable, in the text of the kernel; None if it cannot be read."""
        try:
            return os.fsencode(os.readlink(f"{self.path}/{pid}/exe")).decode("utf-8", "backslashreplace")
        except OSError:
            return None

    def exe_inode(self, pid: int) -> tuple[int, int] | None:
        """Return device and inode of a process's executable; None if it has none, is gone, or nothing answers.

        The file may lie on a file system of the process's own user, who can refuse to answer. So another thread asks.

        Raises:
            OSError: this process may not see which file it is.
        """
        path = f"{self.path}/{pid}/exe"
        try:
            os.readlink(path)
        except (FileNotFoundError, ProcessLookupError):
            return None
        status = within(_ANSWER_SECONDS, lambda: os.stat(path))
        return None if status is None else (status.st_dev, status.st_ino)

    def cgroups(self, pid: int) -> list[tuple[str, str]]:
        """Return the cgroups of a process, each as controllers (empty for version 2) and path; empty if it is gone."""
        try:
            text = Path(f"{self.path}/{pid}/cgroup").read_text("utf-8", "backslashreplace")
        except (FileNotFoundError, ProcessLookupError):
            return []
        lines = (line.split(":", 2) for line in text.splitlines())
        return [(fields[1], fields[2].removesuffix(_DELETED)) for fields in lines if len(fields) == 3]

    def cgroup2(self, pid: int) -> str | None:
        """Return the path of a process's version 2 cgroup, or None."""
        return next((path for controllers, path in self.cgroups(pid) if not controllers), None)

    def forks(self) -> int | None:
        """Return how many processes and threads were started on this host since boot; None if it cannot be read."""
        return self._boot_statistic("processes ")

    def boot_time(self) -> int | None:
        """Return when the host booted, in epoch seconds by the current wall clock; None if it cannot be read."""
        return self._boot_statistic("btime ")

    def _boot_statistic(self, name: str) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"{self.path}/stat").read_text("ascii").splitlines():
                if line.startswith(name):
                    return int(line.split()[1])
        return None

    def last_pid(self) -> int | None:
        """Return the pid that was assigned last in this PID namespace; None if it cannot be read."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(Path(f"{self.path}/loadavg").read_text("ascii").split()[4])
        return None

    def same_mounts(self) -> bool:
        """Return whether this process is in the mount namespace of PID 1: only there are all mount ids equal."""
        try:
            theirs = Path(f"{self.path}/1/mountinfo").read_bytes()
            return bool(theirs) and theirs == Path("/proc/self/mountinfo").read_bytes()
        except OSError:
            return False

    def same_cgroups(self) -> bool:
        """Return whether this process sees the cgroup paths that PID 1 sees.

        Raises:
            OSError: it cannot be read.
        """
        ours = os.readlink("/proc/self/ns/cgroup")
        return ours == INITIAL_CGROUP_NAMESPACE or ours == os.readlink(f"{self.path}/1/ns/cgroup")

    def started(self, process: ProcessStat) -> float:
        """Return when a process started, in epoch seconds by the wall clock. May be too late, never too early."""
        # The boot clock is read first, so that a pause between two clock reads cannot make a process look older.
        for _ in range(_MAX_READS):
            running, now = time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
            if time.clock_gettime(time.CLOCK_BOOTTIME) - running < _SAME_TIME:
                break
        return now - running + process.start_ticks / os.sysconf("SC_CLK_TCK")

    def boot_id(self) -> str:
        """Return the kernel's random id of this boot; empty if it cannot be read."""
        with contextlib.suppress(OSError):
            return Path(f"{self.path}/sys/kernel/random/boot_id").read_text("ascii").strip()
        return ""


def within(seconds: float, ask: Callable[[], _Answer]) -> _Answer | None:
    """Return what a function returns, or None if it raises ``OSError`` or takes longer.

    It runs in a thread of its own, which may stay behind. When too many have stayed, the answer is None at once.
    """
    answer: list[_Answer] = []

    def run() -> None:
        try:
            with contextlib.suppress(OSError):
                answer.append(ask())
        finally:
            _asking.release()

    if not _asking.acquire(blocking=False):
        return None
    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no further thread can be started
        _asking.release()
        return None
    thread.join(seconds)
    return answer[0] if answer else None


def shown(text: str) -> str:
    """Return a text for messages: backticks and characters that are not printable are escaped."""
    return "".join(c if c.isprintable() and c != "`" else f"\\x{ord(c):02x}" for c in text)


def same_path(one: str, other: str | None) -> bool:
    """Return whether two executable paths are equal, apart from the kernel's mark for a deleted file."""
    return other is not None and one.removesuffix(_DELETED) == other.removesuffix(_DELETED)


def os_reason(error: OSError) -> str:
    """Return the message of a system error, for the reason of a result."""
    return (error.strerror or str(error)).lower()
