"""Reads a journal with all of its segments, whoever writes it meanwhile."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, final

from spyderresp.journal.base import JournalError
from spyderresp.journal.chain import Entry
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
