"""``Sqlite``: writes flags to a table of a SQLite file. The ``id`` is the key, so a repeated flag is stored once."""

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

# `sprf`: marks the file as one of this class (`PRAGMA application_id`).
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
# Not OR IGNORE, which would also drop rows that break other constraints.
_INSERT: Final = f"INSERT INTO flags VALUES ({', '.join('?' * 12)}) ON CONFLICT (id) DO NOTHING"  # noqa: S608
_COLUMNS: Final = (
    "schema", "severity", "policy_name", "event_id", "hostname", "cluster_name", "pod_namespace", "pod_name",
)  # fmt: skip


class Sqlite(FlagSink):
    """Writes flags to the table ``flags`` of a SQLite file. A flag that is delivered again is dropped.

    Args:
        path: the path of the file, which is created if it does not exist. It must not be the file of a journal.
        busy: seconds to wait for other writers.
        name: the name in reports and in the journal.
        actions: ``makeRedFlag``, ``makeOpsFlag``, or both.
        envelope: ``cloudevents``, ``ocsf``, or None: the form of the column ``record``.
        now: returns epoch seconds, for the column ``received``.

    Attributes:
        local: True: delivery needs no network.
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
        self._open: _Connection | None = None

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Write records, all or none. Records whose ``id`` is in the table are skipped.

        Raises:
            DeliveryError: the records could not be written.
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
            self._close()

    def _row(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        values = [record.get(name) for name in _COLUMNS]
        when = record.get("time")
        return (
            clean(str(record["id"])),
            self._now(),
            float(when) if isinstance(when, (int, float)) else None,
            *(None if value is None else clean(str(value)) for value in values),
            self.text(record),
        )

    def _connected(self) -> sqlite3.Connection:
        """Return a connection of this process to the file that is at the path now."""
        if self._open is not None and not self._open.is_of(self._path):
            self._close()
        if self._open is None:
            self._open = _Connection(self._path, self._busy)
        return self._open.connection

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


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
        """Return whether this process opened it, and its file is still at the path."""
        if self._process != os.getpid():
            return False
        try:
            return os.path.samestat(self._file, os.stat(path))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        # A forked child must not even close the connection: that would release the locks of the parent.
        if self._process == os.getpid():
            self.connection.close()


def _prepare(connection: sqlite3.Connection) -> None:
    """Create the table in an empty file. Raise ``sqlite3.Error`` if the file is another program's or newer."""
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
    # This changes the file, so it comes after the check.
    connection.execute("PRAGMA journal_mode = WAL")
