"""``JournalReader`` reads a journal with its segments, also while it is written. ``Ending`` is a stored outcome."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, final

from spyderresp.execution.interfaces import JournalError
from spyderresp.execution.report import StepOutcome
from spyderresp.journal.group_commit import Transaction
from spyderresp.journal.hash_chain import Entry, canonical
from spyderresp.journal.schema import GENESIS, journal_error, open_for_reading

_SELECT: Final = "SELECT seq, time, kind, key, body, hash FROM entries WHERE seq > ? ORDER BY seq"


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of older entries.

    Attributes:
        number: counts segments from 1, without gaps.
        path: the file.
        first: the number of its first entry.
        last: the number of its last entry.
        hash: the digest of its last entry.
    """

    number: int
    path: str
    first: int
    last: int
    hash: str


@final
class JournalReader:
    """A view of a journal at one moment. A context manager; one thread at a time may use it.

    ::

        with JournalReader("journal.sqlite") as reader:
            for entry in reader.entries():
                print(entry.seq, entry.kind, entry.body)

    Args:
        path: the file of the journal.

    Attributes:
        path: the file of the journal.
        segments: its segments, oldest first.
        head: the number and the digest of its last entry.

    Raises:
        JournalError: the file cannot be read, or is not a journal.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._connection = open_for_reading(self.path)
        try:
            # One transaction gives one view: entries may move into a segment while this reads.
            self._connection.execute("BEGIN")
            folder = os.path.dirname(os.path.abspath(self.path))
            self.segments = tuple(
                Segment(number, os.path.join(folder, file), first, last, digest)
                for number, file, first, last, digest in self._connection.execute(
                    "SELECT number, file, first, last, hash FROM segments ORDER BY number"
                )
            )
            head = self._connection.execute("SELECT seq, hash FROM head").fetchone()
        except sqlite3.Error as error:
            self.close()
            raise journal_error(self.path, error) from error
        if head is None:
            self.close()
            raise JournalError(self.path, "it is corrupt: the head is missing")
        self.head: tuple[int, str] = head

    @property
    def base(self) -> tuple[int, str]:
        """The number and the digest of the last entry in a segment; without segments 0 and ``GENESIS``."""
        return (self.segments[-1].last, self.segments[-1].hash) if self.segments else (0, GENESIS)

    def entries(self, *, missing: bool = False) -> Iterator[Entry]:
        """Yield all entries, oldest first.

        Args:
            missing: skip segments whose file does not exist.

        Raises:
            JournalError: the journal or a segment cannot be read.
        """
        for segment in self.segments:
            if not (missing and not os.path.exists(segment.path)):
                yield from self.segment_entries(segment)
        yield from self.own_entries()

    def own_entries(self) -> Iterator[Entry]:
        """Yield the entries that are not in a segment, oldest first.

        Raises:
            JournalError: the entries cannot be read.
        """
        return _entries(self._connection, self.path, self.base[0])

    def segment_entries(self, segment: Segment) -> Iterator[Entry]:
        """Yield the entries of a segment, oldest first.

        Raises:
            JournalError: the entries cannot be read.
        """
        connection = open_for_reading(segment.path)
        with contextlib.closing(connection):
            yield from _entries(connection, segment.path, 0)

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query of the other tables.

        Raises:
            JournalError: the query fails.
        """
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise journal_error(self.path, error) from error

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._connection.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _entries(connection: sqlite3.Connection, path: str, after: int) -> Iterator[Entry]:
    try:
        for row in connection.execute(_SELECT, (after,)):
            yield Entry(*row)
    except sqlite3.Error as error:
        raise journal_error(path, error) from error


# Outcomes, and the ones that wait because the journal cannot be written.

# The most outcomes of steps that were not begun that wait in memory; further ones are only counted.
_MAX_WAITING: Final = 1_000
# The most late outcomes of one commit. On a full disk each commit fails, and writing all each time would be slow.
_LATE_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Ending:
    """An outcome in the form in which the journal stores it.

    Attributes:
        key: the key of the step.
        status: the outcome, such as ``done``.
        begun: whether this process began the step.
        earlier: whether an earlier process may have begun the step, or an executor may have accepted it.
        body: the body of the entry, as JSON.
        follow: for an accepted step, executor, step and details; they are needed to ask for the final outcome.
    """

    key: str
    status: str
    begun: bool
    earlier: bool
    body: str
    follow: tuple[str, str, str] | None = None

    @classmethod
    def of(cls, outcome: StepOutcome, begun: bool, *, earlier: bool) -> Ending:
        """Convert an outcome. The body holds the step only if no intent holds it."""
        step = outcome.step
        body: dict[str, Any] = {
            "action": step.action,
            "event": step.event,
            "policies": list(step.policies),
            "outcome": outcome.status,
        }
        texts = {"reason": outcome.reason, "rule": outcome.rule, "executor": outcome.executor}
        body.update({name: text for name, text in texts.items() if text})
        if outcome.details:
            body["details"] = dict(outcome.details)
        if not (begun or earlier):
            body["step"] = step.to_dict()
        # An accepted flag is followed up by the outbox.
        follow = None
        if outcome.status == "accepted" and not step.is_flag:
            follow = (outcome.executor, canonical(step.to_dict()), canonical(dict(outcome.details)))
        return cls(step.key, outcome.status, begun, earlier, canonical(body), follow)

    def write(self, transaction: Transaction, run: str) -> int:
        """Append it: as ``outcome`` if it ends a step that was begun, else as ``settled``; return its number."""
        if not self._ends(transaction, run):
            return transaction.append("settled", self.body, self.key)
        transaction.execute(
            "UPDATE keys SET status = ?, ended = ?, intent = NULL WHERE key = ?",
            (self.status, transaction.now, self.key),
        )
        transaction.execute("DELETE FROM under_way WHERE key = ?", (self.key,))
        if self.follow is not None:
            transaction.execute("INSERT INTO under_way VALUES (?, ?, ?, ?)", (self.key, *self.follow))
        return transaction.append("outcome", self.body, self.key)

    def _ends(self, transaction: Transaction, run: str) -> bool:
        row = transaction.execute("SELECT ended, run FROM keys WHERE key = ?", (self.key,)).fetchone()
        if row is None:
            return False
        ended, owner = row
        if ended is None:
            # A refusal here does not end a step of another process: that process may have carried it out.
            return self.earlier or (self.begun and owner == run)
        accepted = transaction.execute("SELECT 1 FROM under_way WHERE key = ?", (self.key,)).fetchone()
        return self.earlier and accepted is not None


class LateOutcomes:
    """Outcomes that could not be written. The next commits that work write them.

    ``run`` is the id of this process in the journal; ``begun`` are the keys of the steps that it did not end yet.
    """

    def __init__(self, run: str, begun: set[str]) -> None:
        self._run = run
        self._begun = begun
        self._lock = threading.Lock()
        self._waiting: list[Ending] = []
        # How many outcomes were dropped, by status.
        self._lost: Counter[str] = Counter()
        self._writing: tuple[int, Counter[str]] = (0, Counter())

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, endings: Iterable[Ending]) -> None:
        """Keep outcomes: all of begun steps; of other steps a limited number, and the count of the rest."""
        with self._lock:
            for ending in endings:
                if ending.begun or len(self._waiting) < _MAX_WAITING:
                    self._waiting.append(ending)
                else:
                    self._lost[ending.status] += 1

    def write(self, transaction: Transaction) -> None:
        """Write a batch of the outcomes, oldest first."""
        with self._lock:
            batch, lost = self._waiting[:_LATE_BATCH], self._lost.copy()
        self._writing = (len(batch), lost)
        for ending in batch:
            ending.write(transaction, self._run)
        if lost:
            transaction.append("lost", canonical({"outcomes": dict(lost)}))

    def written(self) -> None:
        """Forget the outcomes that were written."""
        count, lost = self._writing
        self._writing = (0, Counter())
        with self._lock:
            self._begun.difference_update(ending.key for ending in self._waiting[:count])
            del self._waiting[:count]
            self._lost -= lost
