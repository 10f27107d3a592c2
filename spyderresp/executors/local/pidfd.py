"""A process, held: the number may pass to another, the descriptor never does."""

from __future__ import annotations

import os
import select
import signal
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


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
        self._fd = os.pidfd_open(pid)

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
        signal.pidfd_send_signal(self._fd, number)

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
