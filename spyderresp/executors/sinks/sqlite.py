"""Flags in a SQLite file, each once: its ``id`` is the key."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from spyderresp.execution.flags.redaction import clean
from spyderresp.execution.interfaces import DeliveryError
from spyderresp.executors.sinks.delivery_queue import FlagSink
from spyderresp.policies.vocabulary import FLAGS

# `sprf`: says whose file it is.
_APPLICATION: Final = 0x73707266
_VERSION: Final = 1
_TABLE: Final = """
CREATE TABLE flags (
    id TEXT PRIMARY KEY NOT NULL,
    received REAL NOT NULL,
    time REAL,
    schema TEXT,
    severity TEXT,
    policy TEXT,
    event TEXT,
    machine TEXT,
    cluster TEXT,
    namespace TEXT,
    pod TEXT,
    record TEXT NOT NULL
)
"""
_INDEX: Final = "CREATE INDEX flags_by_time ON flags (time)"
# Not OR IGNORE, which would drop what breaks any other rule, too.
_INSERT: Final = f"INSERT INTO flags VALUES ({', '.join('?' * 12)}) ON CONFLICT (id) DO NOTHING"  # noqa: S608
_COLUMNS: Final = (
    "schema", "severity", "policy_name", "event_id", "hostname", "cluster_name", "pod_namespace", "pod_name",
)  # fmt: skip


class Sqlite(FlagSink):
    """Keeps flags in the table ``flags`` of a SQLite file; one that comes again is dropped.

    Args:
        path: of the file, made where there is none. Not the journal's.
        busy: how many seconds to wait for another writer.
        name: what reports call it.
        actions: what it takes.
        envelope: ``cloudevents``, ``ocsf`` or None: the shape of the column ``record``.
        now: epoch seconds, for the column ``received``.
    """

    local: Final = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy: float = 5.0,
        name: str = "sqlite",
        actions: Iterable[str] = FLAGS,
        envelope: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, actions, envelope)
        self._path = os.fspath(path)
        self._busy = busy
        self._now = now
        self._lock = threading.Lock()
        self._held: _Connection | None = None

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Keep records, all or none; those whose id is there already are passed over.

        Raises:
            DeliveryError: they could not be written.
        """
        rows = [self._row(record) for record in records]
        if not self._lock.acquire(timeout=self._busy):
            raise DeliveryError(f"another thread has been writing for {self._busy:g} s")
        try:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(_INSERT, rows)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError) as error:
            raise DeliveryError(f"{self._path}: {error}") from error
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._drop()

    def _row(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        kept = [record.get(name) for name in _COLUMNS]
        when = record.get("time")
        return (
            clean(str(record["id"])),
            self._now(),
            float(when) if isinstance(when, (int, float)) else None,
            *(None if value is None else clean(str(value)) for value in kept),
            self.text(record),
        )

    def _connected(self) -> sqlite3.Connection:
        """Return a connection to the file that bears the name now, made by this process."""
        if self._held is not None and not self._held.is_of(self._path):
            self._drop()
        if self._held is None:
            self._held = _Connection(self._path, self._busy)
        return self._held.connection

    def _drop(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


class _Connection:
    def __init__(self, path: str, busy: float) -> None:
        self._process = os.getpid()
        self.connection = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
        try:
            _prepare(self.connection)
            self._file = os.stat(path)
        except BaseException:
            self.connection.close()
            raise

    def is_of(self, path: str) -> bool:
        """Tell whether this process made it, and the file still bears the name."""
        if self._process != os.getpid():
            return False
        try:
            return os.path.samestat(self._file, os.stat(path))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        # SQLite must not be used across a fork, not even to close it: that would drop the parent's locks.
        if self._process == os.getpid():
            self.connection.close()


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, or check that it is ours."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and not application:
            connection.execute(_TABLE)
            connection.execute(_INDEX)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        elif application != _APPLICATION:
            raise sqlite3.DatabaseError("is another program's database")
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"is of version {version}; this program writes version {_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    # Only now that it is known as ours: this changes the file.
    connection.execute("PRAGMA journal_mode = WAL")
