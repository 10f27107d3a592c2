"""Recorded events read for a verb: every kind of file, line by line or batch by batch, what is bad named."""

from __future__ import annotations

from typing import Any, Final, Protocol

from spyderresp.cli.output import CannotGoOnError, Streams, reason_of, safe
from spyderresp.cli.plan import input_name
from spyderresp.errors import EventError
from spyderresp.extras import needed
from spyderresp.recorded.files import RecordedError, damage, files, opened
from spyderresp.recorded.lines import numbered_lines
from spyderresp.service.lines import converted

#: How files are known, for the verbs that read them.
KINDS: Final = """\
files are known by what is in them: JSON lines, plain, gzip or zstd (extra `zstd`); Parquet and Arrow IPC (extra
`arrow`)"""
_NORMAL: Final = "normal"


class Taker(Protocol):
    """Takes recorded events."""

    @property
    def events(self) -> int:
        """How many it took."""

    def wanted(self, tables: Any) -> Any:
        """Return which columns of a table are looked at."""

    def line(self, data: bytes, name: str, place: int) -> None:
        """Take a JSON record, and where it stands.

        Raises:
            EventError: it is bad.
        """

    def record(self, event: Any, name: str, place: int) -> None:
        """Take an event in the normal form, and where it stands.

        Raises:
            EventError: it is bad.
        """

    def batch(self, batch: Any, name: str, first: int, tables: Any) -> None:
        """Take a record batch in the normal form, and where its first row stands.

        Raises:
            EventError: a row or column is bad; none of it is taken.
        """


def meant(words: list[str], verb: str) -> list[str]:
    """Return the files that are meant.

    Raises:
        CannotGoOnError: there is none, or standard input is meant twice.
    """
    try:
        return list(files(words))
    except RecordedError as error:
        raise CannotGoOnError(f"{verb}: {safe(str(error))}") from None


class Reading:
    """Reads one file after the other, and names what is bad on standard error.

    Attributes:
        bad: how many events are.
    """

    def __init__(self, taker: Taker, form: str | None, streams: Streams) -> None:
        self.bad = 0
        self._taker = taker
        self._form = form
        self._streams = streams
        self._progress = streams.progress("events")

    def read(self, path: str, where: str | None = None) -> None:
        """Read a file.

        Args:
            path: what messages call it.
            where: its path, if that is another.

        Raises:
            CannotGoOnError: it cannot be opened or read.
        """
        name = input_name(path)
        try:
            with opened(where or path) as (file, kind):
                if kind == "lines":
                    self._lines(file, name)
                else:
                    self._tables(file, kind, name)
        except RecordedError as error:
            raise CannotGoOnError(f"spyderresp: {name}: {safe(error.reason)}") from None
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = reason_of(error) if error.strerror else str(error).lower()
            raise CannotGoOnError(f"spyderresp: {name}: {safe(reason)}") from None
        except damage() as error:
            raise CannotGoOnError(f"spyderresp: {name}: damaged: {safe(str(error).lower())}") from None
        except ImportError as error:
            raise CannotGoOnError(f"spyderresp: {name}: {safe(str(error))}") from None
        finally:
            self._progress.clear()

    def _lines(self, file: Any, name: str) -> None:
        take = self._taker.line
        for line, data in numbered_lines(file):
            try:
                if isinstance(data, EventError):
                    raise data
                take(data.rstrip(b"\r\n"), name, line)
            except EventError as error:
                self._complain(name, line, error)
            self._progress.update(line)

    def _tables(self, file: Any, kind: Any, name: str) -> None:
        tables = needed("spyderresp.recorded.tables", "arrow", "Parquet and Arrow IPC")
        first = 1
        for batch in tables.batches(file, kind, self._taker.wanted(tables)):
            self._batch(tables, batch, name, first)
            first += batch.num_rows
            self._progress.update(self._taker.events)

    def _batch(self, tables: Any, batch: Any, name: str, first: int) -> None:
        if self._form in (None, _NORMAL) and tables.is_normal(batch.schema):
            try:
                self._taker.batch(batch, name, first, tables)
            except EventError:
                pass  # one row or column is bad: row by row it is told which, and the others are decided
            else:
                return
        for row, record in enumerate(tables.rows(batch), first):
            try:
                if isinstance(record, EventError):
                    raise record
                self._taker.record(converted(record, self._form), name, row)
            except EventError as error:  # noqa: PERF203 - bad rows stand among good ones
                self._complain(name, row, error)

    def _complain(self, name: str, place: int, error: EventError) -> None:
        self.bad += 1
        self._progress.clear()
        self._streams.complain(f"{name}:{place}: error: {safe(str(error))}")
