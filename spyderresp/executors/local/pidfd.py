"""A process, held: the number may pass to another, the descriptor never does."""

from __future__ import annotations

import ctypes
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, cast

from spyderresp.executors.local.procfs import Proc

if TYPE_CHECKING:
    from typing_extensions import Self


# The same for every architecture but Alpha.
_SYS_SEND_SIGNAL: Final = 424
_SYS_OPEN: Final = 434


def opened_by_syscall(pid: int) -> int:
    """Open a pidfd as ``os.pidfd_open`` does: interpreters that were built on an old system lack that.

    Raises:
        OSError: the kernel gives none.
    """
    return _called(_SYS_OPEN, pid, 0)


def sent_by_syscall(fd: int, number: int) -> None:
    """Send a signal as ``signal.pidfd_send_signal`` does.

    Raises:
        OSError: it was not sent.
    """
    _called(_SYS_SEND_SIGNAL, fd, number, 0, 0)


def _called(number: int, *words: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    answer = int(libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, words)))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


opened: Final = cast("Callable[[int], int]", getattr(os, "pidfd_open", opened_by_syscall))
sent: Final = cast("Callable[[int, int], None]", getattr(signal, "pidfd_send_signal", sent_by_syscall))


class Pidfd:
    """Holds one process by pidfd until it is closed.

    Args:
        pid: its number.

    Raises:
        ProcessLookupError: there is no such process.
        OSError: it is no process but one of its threads (EINVAL or ENOENT), or descriptors are used up.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = opened(pid)

    @property
    def inode(self) -> int:
        """What the kernel knows the process by: never used twice since Linux 6.9, all the same before that."""
        return os.fstat(self._fd).st_ino

    def numbered(self, proc: Proc) -> bool:
        """Tell whether it still has its number: until it is waited for no other can have it, dead as it may be."""
        try:
            lines = Path(f"{proc.path}/self/fdinfo/{self._fd}").read_text("ascii").splitlines()
        except OSError:
            return not self.ended
        return f"Pid:\t{self.pid}" in lines

    @property
    def ended(self) -> bool:
        """Whether the process has ended, all of its threads, reaped or not."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Wait for its end, so long at the most, and tell whether it has ended."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(max(0, int(seconds * 1000))))

    def send(self, number: signal.Signals) -> None:
        """Send a signal.

        Raises:
            ProcessLookupError: it has ended.
            PermissionError: it is not ours to signal.
        """
        sent(self._fd, number)

    def probe(self) -> None:
        """Send nothing, to see whether anything could be sent.

        Raises:
            OSError: it could not.
        """
        sent(self._fd, 0)

    def close(self) -> None:
        """Let go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
