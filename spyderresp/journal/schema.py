"""The file of a journal: its tables, their versions, and how it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from spyderresp.execution.interfaces import JournalError

#: What the file says of itself in its header (``PRAGMA application_id``).
APPLICATION: Final = 0x53525350
#: Before the first entry there is none whose digest could be taken.
GENESIS: Final = "0" * 64
# How long to wait for a verb that writes beside us.
_BUSY_SECONDS: Final = 5.0
# The write-ahead log is cut back to this after a checkpoint.
_LOG_BYTES: Final = 64 * 1024 * 1024

_ENTRIES: Final = (
    # `body` is canonical JSON; `hash` is of the entry before and of this one: see chain.py.
    """CREATE TABLE entries (
        seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, key TEXT, body TEXT NOT NULL,
        hash TEXT NOT NULL)""",
    "CREATE INDEX entries_key ON entries (key) WHERE key IS NOT NULL",
    # The last entry, and how many there are in all, older segments among them.
    "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL)",
)
#: What leads from each version of the schema to the next; the first from an empty file. Only ever added to.
MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        *_ENTRIES,
        "INSERT INTO head VALUES (1, 0, lower(hex(zeroblob(32))))",
        # One for each step that was begun; `ended` is NULL while it is open. `intent` is the body of its entry, kept
        # here once that entry has gone into a segment.
        """CREATE TABLE keys (
            key TEXT PRIMARY KEY, status TEXT, began REAL NOT NULL, ended REAL, run TEXT NOT NULL,
            seq INTEGER NOT NULL, intent TEXT) WITHOUT ROWID""",
        "CREATE INDEX keys_open ON keys (seq) WHERE ended IS NULL",
        "CREATE INDEX keys_seq ON keys (seq)",
        # What sinks are owed, in the order of commits.
        """CREATE TABLE outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '')""",
        "CREATE INDEX outbox_sink ON outbox (sink, id)",
        "CREATE INDEX outbox_key ON outbox (key)",
        "CREATE TABLE guard_state (one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL)",
        """CREATE TABLE under_way (
            key TEXT PRIMARY KEY, executor TEXT NOT NULL, step TEXT NOT NULL, details TEXT NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE segments (
            number INTEGER PRIMARY KEY, file TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
            hash TEXT NOT NULL)""",
    ),
)
_REASONS: Final = (
    ("disk is full", "the disk is full"),
    ("readonly database", "it is read-only"),
    ("database is locked", "another process keeps it locked"),
    ("not a database", "it is not a journal: it is no SQLite database"),
    ("malformed", "it is corrupt"),
    ("disk i/o error", "the disk fails or is read-only"),
)


def journal_error(path: str, error: Exception) -> JournalError:
    """Return the exception for what SQLite or the system says."""
    said = str(error)
    if isinstance(error, OSError):
        said = (error.strerror or said).lower()
    for pattern, reason in _REASONS:
        if pattern in said.lower():
            return JournalError(path, reason if reason == said else f"{reason} ({said})")
    return JournalError(path, said or type(error).__name__)


def connect(path: str, *, mode: str = "rw") -> sqlite3.Connection:
    """Open an SQLite file, which must exist.

    Transactions are begun and ended by hand, and the caller sees to it that one thread at a time uses it.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    uri = f"file:{quote(os.path.abspath(path))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def version_of(connection: sqlite3.Connection, path: str, known: int = len(MIGRATIONS)) -> int:
    """Return the version of a journal's schema; 0 for an empty file.

    Raises:
        JournalError: it is of another kind, or newer than this.
        sqlite3.Error: it cannot be read.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (application or version or tables):
        raise JournalError(path, "it is not a journal: another program's database")
    if version > known:
        raise JournalError(path, f"a newer release wrote it (schema {version}; this one knows {known})")
    return int(version)


def migrate(connection: sqlite3.Connection, path: str, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring a journal to the latest schema, each version in a transaction of its own.

    Raises:
        JournalError: it is of another kind, or newer than this.
        sqlite3.Error: it cannot be written.
    """
    version = version_of(connection, path, len(migrations))
    for number in range(version, len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            roll_back(connection)
            raise


def open_for_writing(path: str, *, guest: bool = False) -> sqlite3.Connection:
    """Open a journal, made where there is none, at the latest schema. A guest makes and changes nothing.

    Raises:
        JournalError: it cannot be used.
    """
    try:
        made = not guest and _make(path)
        connection = connect(path)
        try:
            version = version_of(connection, path)
            if guest and version != len(MIGRATIONS):
                raise JournalError(path, "an older release wrote it: the service has to be started with this one first")
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise JournalError(path, "its file system does not support write-ahead logging")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        if made:
            sync_directory(path)
    except (sqlite3.Error, OSError) as error:
        raise journal_error(path, error) from error
    return connection


def _make(path: str) -> bool:
    """Make an empty file that only its owner may read; the log beside it gets the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


def open_segment(path: str) -> sqlite3.Connection:
    """Make an older segment's file, which is not yet under its name: entries and their head.

    Raises:
        sqlite3.Error, OSError: it cannot be written.
    """
    if os.path.lexists(path):
        os.unlink(path)
    _make(path)
    connection = connect(path)
    # It is not looked at before it is whole, and written out at the end.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    for statement in _ENTRIES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    return connection


def open_for_reading(path: str) -> sqlite3.Connection:
    """Open a journal, or a segment, to look at it, whoever writes it meanwhile.

    Raises:
        JournalError: it cannot be read, or is none.
    """
    try:
        os.stat(path)
        return _checked(connect(path, mode="ro"), path)
    except sqlite3.OperationalError as error:
        # On a read-only disk there is no place for the index of the write-ahead log, and no need where that is empty.
        log = f"{path}-wal"
        if os.path.exists(log) and os.path.getsize(log):
            raise journal_error(path, error) from error
        try:
            return _checked(connect(path, mode="ro&immutable=1"), path)
        except sqlite3.Error:
            raise journal_error(path, error) from error
    except (sqlite3.Error, OSError) as error:
        raise journal_error(path, error) from error


def _checked(connection: sqlite3.Connection, path: str) -> sqlite3.Connection:
    try:
        if version_of(connection, path) == 0:
            raise JournalError(path, "it is not a journal: it is empty")
    except BaseException:
        connection.close()
        raise
    return connection


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo what a transaction did, where SQLite has not yet."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def sync_directory(path: str) -> None:
    """Make the name of a file last.

    Raises:
        OSError: it cannot be done.
    """
    place = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(place)
    finally:
        os.close(place)
