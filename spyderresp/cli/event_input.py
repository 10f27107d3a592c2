"""Reads recorded events from files, by line or by record batch, and reports bad events."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from typing import IO, Any, Final, Protocol

from spyderresp.cli.terminal import CommandError, Streams, reason_of, safe
from spyderresp.errors import EventError, needs_extra
from spyderresp.events.files import RecordedError, damage, files, open_recording
from spyderresp.events.records import converted, numbered_lines

# Opening files and standard input.


@contextlib.contextmanager
def open_input(path: str) -> Iterator[IO[bytes]]:
    """Open a file of records; ``-`` is standard input.

    Raises:
        CommandError: the file cannot be opened or read.
    """
    try:
        if path == "-":
            yield sys.stdin.buffer
            return
        with open(path, "rb") as file:
            if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
                raise IsADirectoryError(21, "is a directory")
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise CommandError(f"spyderresp: {safe(path)}: {reason}") from None


def input_name(path: str) -> str:
    """Return the name of an input for messages, escaped.

    Raises:
        CommandError: the input is standard input, which is closed.
    """
    if path != "-":
        return safe(path)
    if sys.stdin is None:
        raise CommandError("spyderresp: standard input is closed; name a file")
    return "<stdin>"


#: Help text: the kinds of files.
KINDS: Final = """\
the content of a file shows its kind: JSON lines, also with gzip or zstd (extra `zstd`); Parquet and Arrow IPC (extra
`arrow`)"""
_NORMAL: Final = "normal"


class EventConsumer(Protocol):
    """Receives recorded events.

    ``name`` is the file in messages; ``place`` is the line or the row of the event in it.
    """

    @property
    def events(self) -> int:
        """The number of events received."""

    def required_columns(self, tables: Any) -> Any:
        """Return the columns of a table that are needed. ``tables`` is the module ``events.tables``."""

    def line(self, data: bytes, name: str, place: int) -> None:
        """Receive a JSON record.

        Raises:
            EventError: the record is bad.
        """

    def record(self, event: Any, name: str, place: int) -> None:
        """Receive an event in the normal form.

        Raises:
            EventError: the event is bad.
        """

    def batch(self, batch: Any, name: str, first: int, tables: Any) -> None:
        """Receive a record batch in the normal form; ``first`` is the number of its first row.

        Raises:
            EventError: a row or column is bad; nothing of the batch was received.
        """


def selected_files(words: list[str], verb: str) -> list[str]:
    """Return the files that the arguments of a verb select.

    Raises:
        CommandError: there are none, or standard input is selected twice.
    """
    try:
        return list(files(words))
    except RecordedError as error:
        raise CommandError(f"{verb}: {safe(str(error))}") from None


class EventReader:
    """Reads one file after the other and reports bad events on standard error.

    Attributes:
        bad: the number of bad events.
    """

    def __init__(self, consumer: EventConsumer, form: str | None, streams: Streams) -> None:
        self.bad = 0
        self._consumer = consumer
        self._form = form
        self._streams = streams
        self._progress = streams.progress("events")

    def read(self, path: str, where: str | None = None) -> None:
        """Read a file.

        Args:
            path: the name of the file in messages.
            where: the path of the file; None: ``path``.

        Raises:
            CommandError: the file cannot be opened or read.
        """
        name = input_name(path)
        try:
            with open_recording(where or path) as (file, kind):
                if kind == "lines":
                    self._lines(file, name)
                else:
                    self._tables(file, kind, name)
        except RecordedError as error:
            raise CommandError(f"spyderresp: {name}: {safe(error.reason)}") from None
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = reason_of(error) if error.strerror else str(error).lower()
            raise CommandError(f"spyderresp: {name}: {safe(reason)}") from None
        except damage() as error:
            raise CommandError(f"spyderresp: {name}: damaged: {safe(str(error).lower())}") from None
        except ImportError as error:
            raise CommandError(f"spyderresp: {name}: {safe(str(error))}") from None
        finally:
            self._progress.clear()

    def _lines(self, file: Any, name: str) -> None:
        take = self._consumer.line
        for line, data in numbered_lines(file):
            try:
                if isinstance(data, EventError):
                    raise data
                take(data.rstrip(b"\r\n"), name, line)
            except EventError as error:
                self._complain(name, line, error)
            self._progress.update(line)

    def _tables(self, file: Any, kind: Any, name: str) -> None:
        with needs_extra("arrow", "Parquet and Arrow IPC"):
            from spyderresp.events import tables
        first = 1
        for batch in tables.batches(file, kind, self._consumer.required_columns(tables)):
            self._batch(tables, batch, name, first)
            first += batch.num_rows
            self._progress.update(self._consumer.events)

    def _batch(self, tables: Any, batch: Any, name: str, first: int) -> None:
        if self._form in (None, _NORMAL) and tables.is_normal(batch.schema):
            try:
                self._consumer.batch(batch, name, first, tables)
            except EventError:
                pass  # a row or column is bad: read row by row below, to report the bad rows and decide the others
            else:
                return
        for row, record in enumerate(tables.rows(batch), first):
            try:
                if isinstance(record, EventError):
                    raise record
                self._consumer.record(converted(record, self._form), name, row)
            except EventError as error:  # noqa: PERF203 - each row is handled by itself
                self._complain(name, row, error)

    def _complain(self, name: str, place: int, error: EventError) -> None:
        self.bad += 1
        self._progress.clear()
        self._streams.complain(f"{name}:{place}: error: {safe(str(error))}")
