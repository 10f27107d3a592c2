"""Rotation: entries move into a file of their own, and the chain goes on.

The journal's own file stays what it is, so that a crash leaves at worst a copy too many: first the copy is written,
then its name, then one transaction says that it counts, and only then are the entries here deleted.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from spyderresp.journal.group_commit import Committer, Transaction
from spyderresp.journal.schema import (
    journal_error,
    open_for_reading,
    open_segment,
    sync_directory,
)

# Entries that one transaction copies or deletes: others want to write too.
_CHUNK: Final = 5_000


def segment_name(path: str, number: int) -> str:
    """Return the name of a segment's file: ``journal.0001.sqlite`` for ``journal.sqlite``."""
    whole = Path(path)
    return f"{whole.stem}.{number:04d}{whole.suffix}"


def base_of(connection: sqlite3.Connection) -> int:
    """Return the number of the last entry that a segment holds, or 0.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    (last,) = connection.execute("SELECT coalesce(max(last), 0) FROM segments").fetchone()
    return int(last)


def rotate(path: str, committer: Committer, retention: float) -> int:
    """Move all entries into a new segment; return how many. One thread at a time does it.

    Args:
        path: the journal.
        committer: writes it.
        retention: keys whose step ended more than so many seconds ago are forgotten, but none of which an entry was
            moved just now: the wall clock alone can make nothing forgotten.

    Raises:
        JournalError: it could not be done; nothing is lost.
    """
    try:
        with contextlib.closing(open_for_reading(path)) as connection:
            before = base_of(connection)
            upto, digest = connection.execute("SELECT seq, hash FROM head").fetchone()
            (number,) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM segments").fetchone()
            if upto == before:
                return 0
            name = segment_name(path, number)
            _copy(connection, Path(path).absolute().with_name(name), before, upto, digest)
    except (sqlite3.Error, OSError) as error:
        raise journal_error(path, error) from error

    def counts(transaction: Transaction) -> None:
        transaction.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?)", (number, name, before + 1, upto, digest))
        # An open step is checked after a restart, however long it stays open.
        transaction.execute(
            "UPDATE keys SET intent = (SELECT body FROM entries WHERE entries.seq = keys.seq)"
            " WHERE ended IS NULL AND intent IS NULL AND seq <= ?",
            (upto,),
        )

    committer.submit(counts)
    delete_moved(committer, upto)
    _forget(committer, before, retention)
    return int(upto - before)


def _copy(connection: sqlite3.Connection, target: Path, before: int, upto: int, digest: str) -> None:
    draft = target.with_name(f".{target.name}.tmp")
    copy = open_segment(str(draft))
    try:
        with contextlib.closing(copy):
            copy.execute("BEGIN")
            for start in range(before, upto, _CHUNK):
                rows = connection.execute(
                    "SELECT * FROM entries WHERE seq > ? AND seq <= ?", (start, min(start + _CHUNK, upto))
                ).fetchall()
                copy.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows)
            copy.execute("INSERT INTO head VALUES (1, ?, ?)", (upto, digest))
            copy.execute("COMMIT")
        place = os.open(draft, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fchmod(place, 0o400)
            os.fsync(place)
        finally:
            os.close(place)
        # A file of this name that does not count yet is of a rotation that was cut off.
        draft.replace(target)
        sync_directory(str(target))
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def delete_moved(committer: Committer, upto: int) -> None:
    """Delete the entries that a segment holds, a chunk at a time.

    Raises:
        JournalError: it cannot be done; they are passed over all the same.
    """

    def some(transaction: Transaction) -> int:
        return transaction.execute(
            "DELETE FROM entries WHERE seq IN (SELECT seq FROM entries WHERE seq <= ? ORDER BY seq LIMIT ?)",
            (upto, _CHUNK),
        ).rowcount

    while committer.submit(some):
        pass


def _forget(committer: Committer, before: int, retention: float) -> None:
    def some(transaction: Transaction) -> int:
        return transaction.execute(
            "DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE seq <= ? AND ended IS NOT NULL AND ended < ?"
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.key = keys.key)"
            " AND NOT EXISTS (SELECT 1 FROM under_way WHERE under_way.key = keys.key) LIMIT ?)",
            (before, transaction.now - retention, _CHUNK),
        ).rowcount

    while committer.submit(some):
        pass
