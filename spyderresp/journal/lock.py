"""One process writes a journal: a lock on a file beside it."""

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
    """Held from its making until ``release``, or the end of the process however it ends.

    A forked child does not hold it: else a worker that outlives its parent would keep the next one out.

    Args:
        path: the journal; the lock is on ``PATH.lock``, which stays.

    Raises:
        JournalError: another holds it, or the file cannot be made.
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
            held = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            self.release()
            if isinstance(error, BlockingIOError):
                whose = f"process {held}" if held.isdigit() else "another process"
                raise JournalError(path, f"is in use by {whose}") from None
            raise journal_error(path, error) from error
        # The number is for people only, and a full disk is told of by the journal itself.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, b"%d\n" % os.getpid(), 0)
        myself = weakref.ref(self)

        def dropped() -> None:
            lock = myself()
            if lock is not None:
                lock.release()

        os.register_at_fork(after_in_child=dropped)

    def release(self) -> None:
        """Let go. A child's closing leaves its parent's lock as it is."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


# Jumps of the wall clock, as entries.

# The wall clock may be slewed by this much between two commits without a word.
_JUMP_SECONDS: Final = 2.0


class Jumps:
    """Writes down that the wall clock jumped: the times of entries are for people, who must know when they lie."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.wall() - clock.steady()
        self._seen = self._ahead

    def write(self, transaction: Transaction) -> None:
        """Write the jump since the last commit, where there was one."""
        self._seen = self._clock.wall() - self._clock.steady()
        jump = self._seen - self._ahead
        if abs(jump) > _JUMP_SECONDS:
            transaction.append("clock", canonical({"seconds": round(jump, 3)}))

    def written(self) -> None:
        """Measure from here on."""
        self._ahead = self._seen
