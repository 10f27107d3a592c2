"""The file of a journal: its tables, the versions of its schema, and how it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from spyderresp.execution.interfaces import JournalError

#: Marks an SQLite file as a journal, in its header (``PRAGMA application_id``).
APPLICATION: Final = 0x53525350
#: Stands for the digest before the first entry.
GENESIS: Final = "0" * 64
# Seconds to wait for a command-line verb that writes at the same time.
_BUSY_SECONDS: Final = 5.0
# The write-ahead log is truncated to this size after a checkpoint.
_LOG_BYTES: Final = 64 * 1024 * 1024

_ENTRIES: Final = (
    # `body` is canonical JSON; `hash` links the entry to the one before it: see hash_chain.py.
    """CREATE TABLE entries (
        seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, key TEXT, body TEXT NOT NULL,
        hash TEXT NOT NULL)""",
    "CREATE INDEX entries_key ON entries (key) WHERE key IS NOT NULL",
    # The last entry; its number counts the entries of all segments too.
    "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL)",
)
#: The statements that lead from each schema version to the next, from an empty file on. Only append to them.
MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        *_ENTRIES,
        "INSERT INTO head VALUES (1, 0, lower(hex(zeroblob(32))))",
        # A row for each step that was begun; `ended` is NULL while it is open. `intent` is the body of its entry,
        # copied here when the entry of an open step moves into a segment.
        """CREATE TABLE keys (
            key TEXT PRIMARY KEY, status TEXT, began REAL NOT NULL, ended REAL, run TEXT NOT NULL,
            seq INTEGER NOT NULL, intent TEXT) WITHOUT ROWID""",
        "CREATE INDEX keys_open ON keys (seq) WHERE ended IS NULL",
        "CREATE INDEX keys_seq ON keys (seq)",
        # Flags that are not delivered yet, by sink, in the order of commits.
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
    ("not a database", "it is not a journal, and not an SQLite database"),
    ("malformed", "it is corrupt"),
    ("disk i/o error", "the disk fails or is read-only"),
)


def journal_error(path: str, error: Exception) -> JournalError:
    """Return a JournalError for an error of SQLite or of the system."""
    message = str(error)
    if isinstance(error, OSError):
        message = (error.strerror or message).lower()
    for pattern, reason in _REASONS:
        if pattern in message.lower():
            return JournalError(path, reason if reason == message else f"{reason} ({message})")
    return JournalError(path, message or type(error).__name__)


def connect(path: str, *, mode: str = "rw") -> sqlite3.Connection:
    """Open an SQLite file, which must exist.

    The caller begins and ends transactions, and lets one thread at a time use the connection.
    """
    uri = f"file:{quote(os.path.abspath(path))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def version_of(connection: sqlite3.Connection, path: str, known: int = len(MIGRATIONS)) -> int:
    """Return the version of a journal's schema; 0 for an empty file.

    Raises:
        JournalError: it is another program's file, or a newer release wrote it.
        sqlite3.Error: it cannot be read.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (application or version or tables):
        raise JournalError(path, "it is not a journal: another program's database")
    if version > known:
        raise JournalError(path, f"a newer release wrote it (schema {version}; this release reads up to {known})")
    return int(version)


def migrate(connection: sqlite3.Connection, path: str, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring a journal to the latest schema, with one transaction for each version.

    Raises:
        JournalError: it is another program's file, or a newer release wrote it.
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
    """Open a journal at the latest schema; create it if it does not exist. A guest does not create or migrate it.

    Raises:
        JournalError: it cannot be used.
    """
    try:
        created = not guest and _create(path)
        connection = connect(path)
        try:
            version = version_of(connection, path)
            if guest and version != len(MIGRATIONS):
                raise JournalError(path, "an older release wrote it: start the service of this release first")
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise JournalError(path, "its file system does not support write-ahead logging")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        if created:
            sync_directory(path)
    except (sqlite3.Error, OSError) as error:
        raise journal_error(path, error) from error
    return connection


def _create(path: str) -> bool:
    """Create an empty file that only its owner may read; return False if it exists. The WAL file gets its mode too."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


def open_segment(path: str) -> sqlite3.Connection:
    """Create the file of a segment, under a temporary name, with empty tables."""
    if os.path.lexists(path):
        os.unlink(path)
    _create(path)
    connection = connect(path)
    # Nothing reads the file before it is complete, and rotate() syncs it at the end.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    for statement in _ENTRIES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    return connection


def open_for_reading(path: str) -> sqlite3.Connection:
    """Open a journal or a segment for reading, while a process may write it.

    Raises:
        JournalError: it cannot be read, or is not a journal.
    """
    try:
        os.stat(path)
        return _checked(connect(path, mode="ro"), path)
    except sqlite3.OperationalError as error:
        # On a read-only disk SQLite cannot create the index of the write-ahead log. An empty log is not needed.
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
    """Roll back a transaction, if one is open."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def sync_directory(path: str) -> None:
    """Write the directory of a file to the disk, so that the name of a new file survives a crash."""
    directory = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
