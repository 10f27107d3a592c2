"""Group commit: whoever writes while another's commit is under way shares the next one.

There is no thread for it. Every writer queues its work and then wants the one right to commit; who gets it commits for
all that are queued by then, and the others find theirs done.
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

from spyderresp.execution.interfaces import Intent, JournalError, OpenedBreaker, RecordedStep
from spyderresp.execution.steps import Step
from spyderresp.journal.hash_chain import Kind, canonical, digest
from spyderresp.journal.schema import journal_error, roll_back

T = TypeVar("T")


class Transaction:
    """What one commit writes. Entries are numbered and chained in the order in which they are appended."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._connection = connection
        self._now = now
        # Read anew each time: a verb may have written beside us.
        head = connection.execute("SELECT seq, hash FROM head").fetchone()
        if head is None:
            raise sqlite3.DatabaseError("malformed: the head is missing")
        self._seq, self._hash = head
        self._rows: list[tuple[int, float, str, str | None, str, str]] = []

    @property
    def now(self) -> float:
        """Epoch seconds, one moment for the whole commit."""
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
        return self._connection.execute(statement, values)

    def flush(self) -> int:
        """Hand the entries to SQLite; return how many there were."""
        if self._rows:
            self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", self._rows)
            self._connection.execute("UPDATE head SET seq = ?, hash = ?", (self._seq, self._hash))
        return len(self._rows)


class CommitRequest(Protocol):
    """What is written with whatever commit comes next. Asked under the right to commit."""

    def write(self, transaction: Transaction) -> None:
        """Write what there is; it is written again unless ``written`` is called."""

    def written(self) -> None:
        """It is on the disk."""


class _Waiting(Generic[T]):
    def __init__(self, work: Callable[[Transaction], T]) -> None:
        self.work = work
        self.done = False
        self.value: T | None = None
        self.error: JournalError | None = None


class Committer:
    """Owns the connection that writes.

    Args:
        path: the journal.
        connection: to it; closed by ``close``.
        wall: epoch seconds.

    Attributes:
        commits: how many there were.
        entries: how many entries they wrote.
        failures: how many commits failed.
        seq: the number of the last entry.
        passengers: what rides along.
    """

    def __init__(self, path: str, connection: sqlite3.Connection, wall: Callable[[], float]) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = connection
        self._wall = wall
        self._file = _identity(path)
        self._queue: list[_Waiting[Any]] = []
        self._queued = threading.Lock()
        self._right = threading.Lock()
        self.commits = 0
        self.entries = 0
        self.failures = 0
        self.seq = 0
        self.passengers: list[CommitRequest] = []

    def submit(self, work: Callable[[Transaction], T]) -> T:
        """Return what ``work`` returned, once all it wrote is on the disk.

        Args:
            work: writes; run once, by whichever thread commits.

        Raises:
            JournalError: nothing of it was written.
        """
        mine = _Waiting(work)
        with self._queued:
            self._queue.append(mine)
        with self._right:
            if not mine.done:
                with self._queued:
                    waiting, self._queue = self._queue, []
                self._commit(waiting)
        if mine.error is not None:
            # One exception for each caller: a traceback belongs to the thread that raises it.
            raise JournalError(mine.error.path, mine.error.reason) from mine.error
        return cast("T", mine.value)

    def _commit(self, waiting: list[_Waiting[Any]]) -> None:
        error = JournalError(self._path, "the commit was cut off")
        done = False
        try:
            values = self._write(waiting)
            for item, value in zip(waiting, values, strict=True):
                item.value = value
            done = True
        except JournalError as said:
            error = said
        except Exception as said:  # noqa: BLE001 - whatever it is, those who wait must hear that nothing was written
            error = journal_error(self._path, said)
        finally:
            # However this ends nobody may wait for a commit that is over.
            for item in waiting:
                item.error = None if done else error
                item.done = True
            if not done:
                self.failures += 1
        for passenger in tuple(self.passengers) if done else ():
            passenger.written()

    def _write(self, waiting: list[_Waiting[Any]]) -> list[Any]:
        connection = self._connection
        if connection is None:
            raise JournalError(self._path, "it is closed")
        if _identity(self._path) != self._file:
            raise JournalError(self._path, "it was removed or replaced while in use")
        # What could not be rolled back when the disk failed.
        roll_back(connection)
        try:
            connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(connection, self._wall())
            for passenger in tuple(self.passengers):
                passenger.write(transaction)
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
        """Let nobody write any more."""
        with self._right:
            if self._connection is not None:
                connection, self._connection = self._connection, None
                connection.close()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


# Claims: a step belongs to whoever began it first.


@dataclass(frozen=True, slots=True)
class Claim:
    """An intent as it is written.

    Attributes:
        key: of its step.
        body: the entry's body.
        sinks: who is owed the flag.
        record: what they are owed, as JSON.
    """

    key: str
    body: str
    sinks: tuple[str, ...]
    record: str

    @classmethod
    def of(cls, intent: Intent, run: str) -> Claim:
        """Return an intent as this process writes it."""
        record = "" if intent.record is None else canonical(intent.record)
        told: dict[str, Any] = {"step": intent.step.to_dict(), "executor": intent.executor, "run": run}
        if intent.identity:
            told["identity"] = intent.identity
        if intent.facts:
            told["facts"] = dict(intent.facts)
        if intent.sinks:
            told["sinks"] = list(intent.sinks)
            told["record"] = hashlib.sha256(record.encode()).hexdigest()
        return cls(intent.step.key, canonical(told), intent.sinks, record)

    def write(self, transaction: Transaction, run: str, take_over: frozenset[str]) -> RecordedStep | None:
        """Claim the step for this process; return what is known of it where it is another's."""
        row = transaction.execute("SELECT status, began, ended, run FROM keys WHERE key = ?", (self.key,)).fetchone()
        if row is not None:
            _, _, ended, whose = row
            if ended is not None or whose == run or self.key not in take_over:
                return earlier(run, *row)
        seq = transaction.append("intent", self.body, self.key)
        transaction.execute(
            "INSERT OR REPLACE INTO keys VALUES (?, NULL, ?, NULL, ?, ?, NULL)", (self.key, transaction.now, run, seq)
        )
        # One that is taken over is owed to its sinks since it was first begun.
        for sink in self.sinks if row is None else ():
            transaction.execute(
                "INSERT INTO outbox (sink, key, record) VALUES (?, ?, ?)", (sink, self.key, self.record)
            )
        return None


def earlier(run: str, status: Any, began: float, ended: float | None, whose: str) -> RecordedStep:
    """Return what a row of the keys says to the process that is called ``run``."""
    return RecordedStep(status, began, ours=ended is None and whose == run)


def opened(began: float, body: str | None, owed: dict[str, list[str]]) -> OpenedBreaker:
    """Return the open step of an intent's body.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    told = json.loads(body or "")
    step = Step.from_dict(told["step"])
    return OpenedBreaker(step, told["executor"], began, tuple(told.get("sinks", ())), tuple(owed.get(step.key, ())))
