"""Group commit: all work that is submitted during one commit shares the next one. Also: claims of steps.

No thread of its own is needed. A writer queues its work and then acquires the commit lock. The writer that gets the
lock commits all work that is queued by then; the other writers find their work done.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from spyderresp.execution.interfaces import Intent, JournalError, OpenStep, RecordedStep
from spyderresp.execution.steps import Step
from spyderresp.journal.hash_chain import Kind, canonical, digest
from spyderresp.journal.schema import journal_error, roll_back

T = TypeVar("T")


class Transaction:
    """One commit. Entries are numbered and chained in the order in which they are appended."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._connection = connection
        self._now = now
        # Read for each commit: a command-line verb may have written to the journal since the last one.
        head = connection.execute("SELECT seq, hash FROM head").fetchone()
        if head is None:
            raise sqlite3.DatabaseError("malformed: the head is missing")
        self._seq, self._hash = head
        self._rows: list[tuple[int, float, str, str | None, str, str]] = []

    @property
    def now(self) -> float:
        """Epoch seconds, the same for the whole commit."""
        return self._now

    @property
    def seq(self) -> int:
        """The number of the last entry so far."""
        return int(self._seq)

    def append(self, kind: Kind, body: str, key: str | None = None) -> int:
        """Append an entry with canonical JSON for its body; return its number."""
        self._seq += 1
        self._hash = digest(self._hash, self._seq, self._now, kind, key, body)
        self._rows.append((self._seq, self._now, kind, key, body, self._hash))
        return int(self._seq)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute a statement of SQL in the transaction."""
        return self._connection.execute(statement, values)

    def flush(self) -> int:
        """Insert the entries; return their number."""
        if self._rows:
            self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", self._rows)
            self._connection.execute("UPDATE head SET seq = ?, hash = ?", (self._seq, self._hash))
        return len(self._rows)


class CommitRequest(Protocol):
    """Work that every commit includes. Called by the thread that holds the commit lock."""

    def write(self, transaction: Transaction) -> None:
        """Write what is waiting. If ``written`` is not called, the commit failed: write the same again next time."""

    def written(self) -> None:
        """Note that the last ``write`` is on the disk."""


class _Submitted(Generic[T]):
    """The work of one writer, and its result."""

    def __init__(self, work: Callable[[Transaction], T]) -> None:
        self.work = work
        self.done = False
        self.value: T | None = None
        self.error: JournalError | None = None


class Committer:
    """Owns the connection that writes the journal.

    Attributes:
        commits: the number of commits.
        entries: the number of entries that they wrote.
        failures: the number of commits that failed.
        seq: the number of the last entry.
        requests: the work that every commit includes.
    """

    def __init__(self, path: str, connection: sqlite3.Connection, wall: Callable[[], float]) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = connection
        self._wall = wall
        self._file = _identity(path)
        self._queue: list[_Submitted[Any]] = []
        self._queued = threading.Lock()
        self._commit_lock = threading.Lock()
        self.commits = 0
        self.entries = 0
        self.failures = 0
        self.seq = 0
        self.requests: list[CommitRequest] = []

    def submit(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` once in the next commit, in the thread that commits; return its result when it is on the disk.

        Raises:
            JournalError: nothing was written.
        """
        mine = _Submitted(work)
        with self._queued:
            self._queue.append(mine)
        with self._commit_lock:
            if not mine.done:
                with self._queued:
                    waiting, self._queue = self._queue, []
                self._commit(waiting)
        if mine.error is not None:
            # Raise a new exception in each thread: a traceback belongs to one thread.
            raise JournalError(mine.error.path, mine.error.reason) from mine.error
        return cast("T", mine.value)

    def _commit(self, waiting: list[_Submitted[Any]]) -> None:
        error = JournalError(self._path, "the commit was cut off")
        done = False
        try:
            values = self._write(waiting)
            for item, value in zip(waiting, values, strict=True):
                item.value = value
            done = True
        except JournalError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - every writer must get the error
            error = journal_error(self._path, failure)
        finally:
            # Always wake every waiting writer, also when the commit failed; otherwise they block forever.
            for item in waiting:
                item.error = None if done else error
                item.done = True
            if not done:
                self.failures += 1
        for request in tuple(self.requests) if done else ():
            request.written()

    def _write(self, waiting: list[_Submitted[Any]]) -> list[Any]:
        connection = self._connection
        if connection is None:
            raise JournalError(self._path, "it is closed")
        if _identity(self._path) != self._file:
            raise JournalError(self._path, "it was removed or replaced while in use")
        # Roll back a commit that could not be rolled back when the disk failed.
        roll_back(connection)
        try:
            connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(connection, self._wall())
            for request in tuple(self.requests):
                request.write(transaction)
            values = [item.work(transaction) for item in waiting]
            count = transaction.flush()
            connection.execute("COMMIT")
        except BaseException:
            roll_back(connection)
            raise
        self.commits += 1
        self.seq = transaction.seq
        self.entries += count
        return values

    def close(self) -> None:
        """Close the connection; later calls of ``submit`` fail."""
        with self._commit_lock:
            if self._connection is not None:
                connection, self._connection = self._connection, None
                connection.close()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


# Claims: the process that begins a step first owns it.


@dataclass(frozen=True, slots=True)
class Claim:
    """An intent in the form in which the journal stores it.

    Attributes:
        key: the key of the step.
        body: the body of the entry, as JSON.
        sinks: the names of the sinks to deliver the flag to.
        record: the flag, as JSON.
    """

    key: str
    body: str
    sinks: tuple[str, ...]
    record: str

    @classmethod
    def of(cls, intent: Intent, run: str) -> Claim:
        """Convert an intent; ``run`` is the id of this process in the journal."""
        record = "" if intent.record is None else canonical(intent.record)
        body: dict[str, Any] = {"step": intent.step.to_dict(), "executor": intent.executor, "run": run}
        if intent.identity:
            body["identity"] = intent.identity
        if intent.facts:
            body["facts"] = dict(intent.facts)
        if intent.sinks:
            body["sinks"] = list(intent.sinks)
            body["record"] = hashlib.sha256(record.encode()).hexdigest()
        return cls(intent.step.key, canonical(body), intent.sinks, record)

    def write(self, transaction: Transaction, run: str, take_over: frozenset[str]) -> RecordedStep | None:
        """Claim the step for the process ``run``; if it is claimed already, return its record instead."""
        row = transaction.execute("SELECT status, began, ended, run FROM keys WHERE key = ?", (self.key,)).fetchone()
        if row is not None:
            _, _, ended, owner = row
            if ended is not None or owner == run or self.key not in take_over:
                return recorded_step(run, *row)
        seq = transaction.append("intent", self.body, self.key)
        transaction.execute(
            "INSERT OR REPLACE INTO keys VALUES (?, NULL, ?, NULL, ?, ?, NULL)", (self.key, transaction.now, run, seq)
        )
        # The flag of a step that is taken over is in the outbox already.
        for sink in self.sinks if row is None else ():
            transaction.execute(
                "INSERT INTO outbox (sink, key, record) VALUES (?, ?, ?)", (sink, self.key, self.record)
            )
        return None


def recorded_step(run: str, status: Any, began: float, ended: float | None, owner: str) -> RecordedStep:
    """Return a row of the table ``keys`` as the process ``run`` sees it."""
    return RecordedStep(status, began, ours=ended is None and owner == run)


def open_step(began: float, body: str | None, outbox: dict[str, list[str]]) -> OpenStep:
    """Return the open step that the body of an intent describes; ``outbox`` holds the sinks to deliver to, by key."""
    intent = json.loads(body or "")
    step = Step.from_dict(intent["step"])
    sinks = tuple(intent.get("sinks", ()))
    return OpenStep(step, intent["executor"], began, sinks, tuple(outbox.get(step.key, ())))
