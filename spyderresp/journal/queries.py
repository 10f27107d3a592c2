"""Reads a journal with all of its segments, whoever writes it meanwhile."""

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
    """Entries that were moved into a file of their own.

    Attributes:
        number: from 1, without gaps.
        path: the file.
        first: its first entry.
        last: its last one.
        hash: the digest of that.
    """

    number: int
    path: str
    first: int
    last: int
    hash: str


@final
class JournalReader:
    """A journal as it stood at one moment. A context manager; used by one thread at a time.

    Args:
        path: the journal's file.

    Attributes:
        path: as given.
        segments: its older segments, oldest first.
        head: the number and the digest of its last entry.

    Raises:
        JournalError: it cannot be read, or is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._connection = open_for_reading(self.path)
        try:
            # One view of it all: entries may move into a segment while we read.
            self._connection.execute("BEGIN")
            place = os.path.dirname(os.path.abspath(self.path))
            self.segments = tuple(
                Segment(number, os.path.join(place, file), first, last, digest)
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
        """The number and the digest of the last entry that is in a segment; 0 and ``GENESIS`` where there is none."""
        return (self.segments[-1].last, self.segments[-1].hash) if self.segments else (0, GENESIS)

    def entries(self, *, missing: bool = False) -> Iterator[Entry]:
        """Yield all entries, oldest first.

        Args:
            missing: pass over segments whose file is not there.

        Raises:
            JournalError: something cannot be read.
        """
        for segment in self.segments:
            if not (missing and not os.path.exists(segment.path)):
                yield from self.segment_entries(segment)
        yield from self.own_entries()

    def own_entries(self) -> Iterator[Entry]:
        """Yield the entries that are in no segment, oldest first.

        Raises:
            JournalError: they cannot be read.
        """
        return _entries(self._connection, self.path, self.base[0])

    def segment_entries(self, segment: Segment) -> Iterator[Entry]:
        """Yield the entries of a segment, oldest first.

        Raises:
            JournalError: they cannot be read.
        """
        connection = open_for_reading(segment.path)
        with contextlib.closing(connection):
            yield from _entries(connection, segment.path, 0)

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield what a query of the tables beside the entries gives.

        Raises:
            JournalError: it cannot be read.
        """
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise journal_error(self.path, error) from error

    def close(self) -> None:
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


# What became of steps, on its way into the journal; kept while the journal cannot be written.

# Outcomes of steps that were never begun, kept while the journal cannot be written; beyond it they are counted.
_KEPT: Final = 1_000
# How many of them one commit takes along: each attempt on a full disk would write them all in vain.
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Ending:
    """An outcome as it is written.

    Attributes:
        key: of the step.
        status: what became of it.
        begun: whether this process began it.
        earlier: whether it may be one that an earlier process began, or that was under way.
        body: the entry's body.
        follow: where it is to be followed up: executor, step and details.
    """

    key: str
    status: str
    begun: bool
    earlier: bool
    body: str
    follow: tuple[str, str, str] | None = None

    @classmethod
    def of(cls, outcome: StepOutcome, begun: bool, *, earlier: bool) -> Ending:
        """Return an outcome as it is written. The step stands in its intent, where it has one."""
        step = outcome.step
        told: dict[str, Any] = {
            "action": step.action,
            "event": step.event,
            "policies": list(step.policies),
            "outcome": outcome.status,
        }
        words = {"reason": outcome.reason, "rule": outcome.rule, "executor": outcome.executor}
        told.update({name: word for name, word in words.items() if word})
        if outcome.details:
            told["details"] = dict(outcome.details)
        if not (begun or earlier):
            told["step"] = step.to_dict()
        # What flags are still owed to stands in the outbox.
        follow = None
        if outcome.status == "accepted" and not step.is_flag:
            follow = (outcome.executor, canonical(step.to_dict()), canonical(dict(outcome.details)))
        return cls(step.key, outcome.status, begun, earlier, canonical(told), follow)

    def write(self, transaction: Transaction, run: str) -> int:
        """Write it: as the outcome of a step that was begun, or as that of one that never was."""
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
        ended, whose = row
        if ended is None:
            # One that another process began is not ended by a refusal here: whether it was acted on is not known.
            return self.earlier or (self.begun and whose == run)
        found = transaction.execute("SELECT 1 FROM under_way WHERE key = ?", (self.key,)).fetchone()
        return self.earlier and found is not None


class LateOutcome:
    """Outcomes that could not be written; they go with the next commit that works.

    Args:
        run: names this process in the journal.
        begun: the keys that it began and did not end.
    """

    def __init__(self, run: str, begun: set[str]) -> None:
        self._run = run
        self._begun = begun
        self._lock = threading.Lock()
        self._kept: list[Ending] = []
        self._lost: Counter[str] = Counter()
        self._writing: tuple[int, Counter[str]] = (0, Counter())

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, endings: Iterable[Ending]) -> None:
        """Keep what could not be written: all of begun steps; of others a bounded number, and how many more."""
        with self._lock:
            for ending in endings:
                if ending.begun or len(self._kept) < _KEPT:
                    self._kept.append(ending)
                else:
                    self._lost[ending.status] += 1

    def write(self, transaction: Transaction) -> None:
        """Write some of what was kept, oldest first."""
        with self._lock:
            kept, lost = self._kept[:_AT_ONCE], self._lost.copy()
        self._writing = (len(kept), lost)
        for ending in kept:
            ending.write(transaction, self._run)
        if lost:
            transaction.append("lost", canonical({"outcomes": dict(lost)}))

    def written(self) -> None:
        """Forget what was written."""
        count, lost = self._writing
        self._writing = (0, Counter())
        with self._lock:
            self._begun.difference_update(ending.key for ending in self._kept[:count])
            del self._kept[:count]
            self._lost -= lost
