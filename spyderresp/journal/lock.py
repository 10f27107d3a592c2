"""The lock by which only one process writes a journal, and the entries about jumps of the wall clock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from typing import Final

from spyderresp.execution.clock import Clock
from spyderresp.execution.interfaces import JournalError
from spyderresp.journal.group_commit import Transaction
from spyderresp.journal.hash_chain import canonical
from spyderresp.journal.schema import journal_error


class ProcessLock:
    """A lock on ``PATH.lock``, held until ``release`` or the end of the process.

    A forked child does not hold the lock: a child that outlives its parent would lock out the next process.

    Raises:
        JournalError: another process holds the lock, or the lock file cannot be created.
    """

    def __init__(self, path: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._file: int | None = os.open(f"{path}.lock", flags, 0o600)
        except OSError as error:
            raise journal_error(path, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            self.close()
            if isinstance(error, BlockingIOError):
                owner = f"process {pid}" if pid.isdigit() else "another process"
                raise JournalError(path, f"is in use by {owner}") from None
            raise journal_error(path, error) from error
        # The pid is for error messages only. If the disk is full, writing the journal itself reports it.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, b"%d\n" % os.getpid(), 0)
        reference = weakref.ref(self)

        def release_in_child() -> None:
            lock = reference()
            if lock is not None:
                lock.close()

        os.register_at_fork(after_in_child=release_in_child)

    def release(self) -> None:
        """Release the lock, also when a child that was forked a moment ago has not closed its copy of the file yet."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self.close()

    def close(self) -> None:
        """Close the file. In a forked child, this does not release the lock of the parent."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


# A smaller change of the wall clock between two commits is not recorded.
_JUMP_SECONDS: Final = 2.0


class ClockJumps:
    """Appends an entry when the wall clock jumped, so that a reader of the journal can judge the times of entries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Wall clock minus steady clock: at the last commit that was written, and at the last `write`.
        self._recorded = clock.wall() - clock.steady()
        self._current = self._recorded

    def write(self, transaction: Transaction) -> None:
        """Append the jump since the last commit, if there was one."""
        self._current = self._clock.wall() - self._clock.steady()
        jump = self._current - self._recorded
        if abs(jump) > _JUMP_SECONDS:
            transaction.append("clock", canonical({"seconds": round(jump, 3)}))

    def written(self) -> None:
        """Measure the next jump from here."""
        self._recorded = self._current
