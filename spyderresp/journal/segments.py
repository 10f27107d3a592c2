"""Rotation: older entries move into a segment, a file of its own. The hash chain continues across files.

A rotation copies the entries to a file with a temporary name, renames it, records the segment in the journal, and then
deletes the entries from the journal. So a crash at any point loses no entry; it leaves at most a copy that is not used.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from spyderresp.journal.group_commit import Committer, Transaction
from spyderresp.journal.schema import journal_error, open_for_reading, open_segment, sync_directory

# The most entries that one transaction copies or deletes, so that writers do not wait long.
_CHUNK: Final = 5_000


def segment_name(path: str, number: int) -> str:
    """Return the file name of a segment: ``journal.0001.sqlite`` for ``journal.sqlite``."""
    file = Path(path)
    return f"{file.stem}.{number:04d}{file.suffix}"


def base_of(connection: sqlite3.Connection) -> int:
    """Return the number of the last entry in a segment; 0 without segments."""
    (last,) = connection.execute("SELECT coalesce(max(last), 0) FROM segments").fetchone()
    return int(last)


def rotate(path: str, committer: Committer, retention: float) -> int:
    """Move all entries into a new segment; return their number. One thread at a time may call this.

    Keys of steps that ended more than ``retention`` seconds ago are deleted, except keys with an entry in the new
    segment. So a wrong wall clock cannot make the journal forget recent steps.

    Raises:
        JournalError: the entries cannot be moved; none is lost.
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

    def record(transaction: Transaction) -> None:
        transaction.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?)", (number, name, before + 1, upto, digest))
        # A restart checks open steps, which needs their intents.
        transaction.execute(
            "UPDATE keys SET intent = (SELECT body FROM entries WHERE entries.seq = keys.seq)"
            " WHERE ended IS NULL AND intent IS NULL AND seq <= ?",
            (upto,),
        )

    committer.submit(record)
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
        file = os.open(draft, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fchmod(file, 0o400)
            os.fsync(file)
        finally:
            os.close(file)
        # This may replace the file of an interrupted rotation, which is not recorded in the journal.
        draft.replace(target)
        sync_directory(str(target))
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def delete_moved(committer: Committer, upto: int) -> None:
    """Delete the entries that a segment holds, one chunk in each transaction.

    Raises:
        JournalError: it fails; readers ignore these entries.
    """

    def delete_chunk(transaction: Transaction) -> int:
        return transaction.execute(
            "DELETE FROM entries WHERE seq IN (SELECT seq FROM entries WHERE seq <= ? ORDER BY seq LIMIT ?)",
            (upto, _CHUNK),
        ).rowcount

    while committer.submit(delete_chunk):
        pass


def _forget(committer: Committer, before: int, retention: float) -> None:
    """Delete old keys of ended steps, except those that the outbox or a follow-up still needs."""

    def delete_chunk(transaction: Transaction) -> int:
        return transaction.execute(
            "DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE seq <= ? AND ended IS NOT NULL AND ended < ?"
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.key = keys.key)"
            " AND NOT EXISTS (SELECT 1 FROM under_way WHERE under_way.key = keys.key) LIMIT ?)",
            (before, transaction.now - retention, _CHUNK),
        ).rowcount

    while committer.submit(delete_chunk):
        pass
