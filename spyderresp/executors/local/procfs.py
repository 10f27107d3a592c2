"""``/proc``, as far as processes are recognised by it. Everything here may be gone between two looks."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_KERNEL_THREAD: Final = 0x00200000
_ENDING: Final = 0x00000004
_DELETED: Final = " (deleted)"
# How far apart in seconds two clocks may be read, and how often that is tried.
_AT_ONCE: Final = 0.001
_READINGS: Final = 10
#: The namespaces that the kernel starts with have fixed inodes: ``include/uapi/linux/nsfs.h``.
FIRST_CGROUPS: Final = "cgroup:[4026531835]"


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """One look at ``/proc/PID/stat``.

    Attributes:
        pid: the process.
        name: its own word for itself; anybody can take any.
        state: a letter; of the main thread only.
        ppid: its parent now.
        pgid: its process group.
        session: its session.
        start_ticks: when it started, in clock ticks since boot; with the boot and the pid it is exact.
        threads: how many threads it has.
        kernel: whether it is a thread of the kernel.
        ending: whether its main thread has begun to end; the others may go on.
        layout: where its program and first stack lie: a child shares that with its parent until one of them executes
            something, and others hardly ever; all zero where it may not be known.
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
    ending: bool = False
    layout: tuple[int, int, int] = (0, 0, 0)

    @property
    def shown(self) -> str:
        """Its name for people, who may have it on a terminal: nothing in it but what can be seen."""
        return shown(self.name)

    @property
    def dead(self) -> bool:
        """Whether nothing of it runs any more: a zombie whose last thread has ended."""
        return self.state in "ZXx" and self.threads <= 1

    def to_dict(self) -> dict[str, Any]:
        """Return who it is, as JSON data."""
        return {"pid": self.pid, "name": self.name, "start_ticks": self.start_ticks}


class Proc:
    """A mounted ``/proc``.

    Args:
        path: where it is mounted.
    """

    def __init__(self, path: str = "/proc") -> None:
        self.path = path

    def stat(self, pid: int | str) -> ProcessStat | None:
        """Return a look at a process, or at a thread as ``PID/task/TID``, or None where there is none."""
        try:
            data = Path(f"{self.path}/{pid}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name may hold anything, closing brackets and newlines too: the last bracket ends it.
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
            ending=bool(int(fields[6]) & _ENDING),
            layout=(int(fields[23]), int(fields[24]), int(fields[25])),
        )

    def pids(self) -> Iterator[int]:
        """Yield the processes there are."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.isdecimal():
                    yield int(entry.name)

    def everyone(self) -> dict[int, ProcessStat]:
        """Return a look at every process; one that ends meanwhile is left out."""
        looks = (self.stat(pid) for pid in self.pids())
        return {look.pid: look for look in looks if look is not None}

    def threads(self, pid: int) -> list[int]:
        """Return the threads of a process; none where there is no such process."""
        try:
            return sorted(int(name) for name in os.listdir(f"{self.path}/{pid}/task"))
        except (FileNotFoundError, ProcessLookupError):
            return []

    def states(self, pid: int) -> str:
        """Return a letter for each thread of a process; none where it is gone."""
        return "".join(look.state for tid in self.threads(pid) if (look := self.stat(f"{pid}/task/{tid}")) is not None)

    def status(self, pid: int | str) -> dict[str, str]:
        """Return the fields of ``/proc/PID/status``; none where there is no such process."""
        try:
            text = Path(f"{self.path}/{pid}/status").read_text("utf-8", "backslashreplace")
        except (FileNotFoundError, ProcessLookupError):
            return {}
        pairs = (line.partition(":") for line in text.splitlines())
        return {key: value.strip() for key, _, value in pairs}

    def exe(self, pid: int) -> str | None:
        """Return the path of a process's executable, as the kernel has it; None where it cannot be told."""
        try:
            return os.fsencode(os.readlink(f"{self.path}/{pid}/exe")).decode("utf-8", "backslashreplace")
        except OSError:
            return None

    def exe_inode(self, pid: int) -> tuple[int, int] | None:
        """Return device and inode of a process's executable; None for a process that has none or is gone.

        Raises:
            OSError: it cannot be told.
        """
        try:
            found = os.stat(f"{self.path}/{pid}/exe")
        except (FileNotFoundError, ProcessLookupError):
            return None
        return found.st_dev, found.st_ino

    def cgroups(self, pid: int) -> list[tuple[str, str]]:
        """Return the cgroups of a process: controllers (empty for version 2) and path; none where it is gone."""
        try:
            text = Path(f"{self.path}/{pid}/cgroup").read_text("utf-8", "backslashreplace")
        except (FileNotFoundError, ProcessLookupError):
            return []
        fields = (line.split(":", 2) for line in text.splitlines())
        return [(held[1], held[2].removesuffix(_DELETED)) for held in fields if len(held) == 3]

    def cgroup2(self, pid: int) -> str | None:
        """Return the version 2 cgroup of a process, or None."""
        return next((path for controllers, path in self.cgroups(pid) if not controllers), None)

    def forks(self) -> int | None:
        """Return how many processes and threads were started since boot, by anybody; None where it cannot be told."""
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"{self.path}/stat").read_text("ascii").splitlines():
                if line.startswith("processes "):
                    return int(line.split()[1])
        return None

    def last_pid(self) -> int | None:
        """Return the number that was given out last in our PID namespace; None where it cannot be told."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(Path(f"{self.path}/loadavg").read_text("ascii").split()[4])
        return None

    def same_mounts(self) -> bool:
        """Tell whether we live in PID 1's mount namespace, under the same root: each mount has a number of its own."""
        try:
            theirs = Path(f"{self.path}/1/mountinfo").read_bytes()
            return bool(theirs) and theirs == Path("/proc/self/mountinfo").read_bytes()
        except OSError:
            return False

    def same_cgroups(self) -> bool:
        """Tell whether we see cgroups as PID 1 does, from the same root.

        Raises:
            OSError: that cannot be told.
        """
        ours = os.readlink("/proc/self/ns/cgroup")
        return ours == FIRST_CGROUPS or ours == os.readlink(f"{self.path}/1/ns/cgroup")

    def started(self, look: ProcessStat) -> float:
        """Return when a process started, in epoch seconds by the clock of now, to a tick; rather late than early."""
        # Held up between two clocks it would be older than it is, and taken for one that it is not: the clock that is
        # taken off is read first (test_held_up_between_two_clocks_it_makes_nobody_older).
        for _ in range(_READINGS):
            running, now = time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
            if time.clock_gettime(time.CLOCK_BOOTTIME) - running < _AT_ONCE:
                break
        return now - running + look.start_ticks / os.sysconf("SC_CLK_TCK")

    def boot_id(self) -> str:
        """Return what names this boot; empty where it cannot be told."""
        with contextlib.suppress(OSError):
            return Path(f"{self.path}/sys/kernel/random/boot_id").read_text("ascii").strip()
        return ""

    def boot_time(self) -> float | None:
        """Return when this boot began, in epoch seconds by the clock of now; None where it cannot be told."""
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"{self.path}/stat").read_text("ascii").splitlines():
                if line.startswith("btime "):
                    return float(line.split()[1])
        return None


def shown(text: str) -> str:
    """Return a text with what cannot be seen, and what ends a name in a message, escaped."""
    return "".join(c if c.isprintable() and c != "`" else f"\\x{ord(c):02x}" for c in text)


def same_path(said: str, found: str | None) -> bool:
    """Tell whether an event's exe is a process's: the kernel marks one whose file was replaced or removed."""
    return found is not None and found.removesuffix(_DELETED) == said.removesuffix(_DELETED)
