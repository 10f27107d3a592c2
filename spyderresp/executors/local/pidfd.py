"""``Pidfd``: a descriptor of one process. A pid can be reused by another process; a pidfd cannot."""

from __future__ import annotations

import ctypes
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, cast

from spyderresp.executors.local.procfs import Proc

if TYPE_CHECKING:
    from typing_extensions import Self


# System call numbers, equal on all architectures except Alpha.
_PIDFD_SEND_SIGNAL: Final = 424
_PIDFD_OPEN: Final = 434


def opened_by_syscall(pid: int) -> int:
    """Do what ``os.pidfd_open`` does. Python lacks that function if it was built on an old system."""
    return _syscall(_PIDFD_OPEN, pid, 0)


def sent_by_syscall(fd: int, number: int) -> None:
    """Do what ``signal.pidfd_send_signal`` does."""
    _syscall(_PIDFD_SEND_SIGNAL, fd, number, 0, 0)


def _syscall(number: int, *arguments: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


_open: Final = cast("Callable[[int], int]", getattr(os, "pidfd_open", opened_by_syscall))
_send: Final = cast("Callable[[int, int], None]", getattr(signal, "pidfd_send_signal", sent_by_syscall))


class Pidfd:
    """Holds one process until it is closed. A context manager.

    Raises:
        ProcessLookupError: there is no such process.
        OSError: the pid is a thread id (EINVAL or ENOENT), or no descriptor is free.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = _open(pid)

    @property
    def inode(self) -> int:
        """The inode of the pidfd. Each process has its own since Linux 6.9; before, all have the same."""
        return os.fstat(self._fd).st_ino

    def has_pid(self, proc: Proc) -> bool:
        """Return whether the process still has its pid. It has it until it is reaped, also when it has ended."""
        try:
            lines = Path(f"{proc.path}/self/fdinfo/{self._fd}").read_text("ascii").splitlines()
        except OSError:
            return not self.ended
        return f"Pid:\t{self.pid}" in lines

    @property
    def ended(self) -> bool:
        """Whether all threads of the process have ended, also if it is not reaped yet."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for the end of the process; return whether it has ended."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(max(0, int(seconds * 1000))))

    def send(self, number: signal.Signals | Literal[0]) -> None:
        """Send a signal; 0 sends nothing and only checks that a signal could be sent.

        Raises:
            ProcessLookupError: the process has ended.
            PermissionError: this process may not signal it.
            OSError: the kernel has no pidfd signals.
        """
        _send(self._fd, number)

    def close(self) -> None:
        """Close the descriptor. May be repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
