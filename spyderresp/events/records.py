"""Reads lines from streams, and events from records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final, NamedTuple

from spyderresp.errors import EventError
from spyderresp.events._form_detection import has_other_form
from spyderresp.events.formats import BUILT_IN
from spyderresp.events.json_decoder import decode_event

#: The most bytes of a line, by default.
MAX_LINE: Final = 16 * 1024 * 1024


def to_event(data: bytes, form: str | None) -> Any:
    """Return the normal-form event of a JSON record.

    Raises:
        EventError: the record is not JSON in UTF-8, or no adapter recognises it.
    """
    return converted(decode_event(data), form)


def converted(record: Any, form: str | None) -> Any:
    """Return the normal-form event of a record.

    Raises:
        EventError: no adapter recognises it.
    """
    adapter = BUILT_IN.recognise(record) if form is None else BUILT_IN.named(form)
    # The caller does not use the record any more, so a record in the normal form need not be copied.
    return record if adapter.name == "normal" else BUILT_IN.adapt(record, adapter.name)


def too_long(limit: int) -> EventError:
    """Return the error for a line that is longer than the limit."""
    return EventError("", f"the line is longer than {limit:,} bytes")


class LineChunk(NamedTuple):
    """Complete lines of a stream.

    Attributes:
        data: the lines, each with its newline; the last line of the stream may have none.
        first: the number of the first line, from 1.
        long: the numbers of lines that are longer than the limit and not in ``data``; they come before it.
    """

    data: bytes
    first: int
    long: tuple[int, ...] = ()


class LineSplitter:
    """Splits a stream into chunks of complete lines, in bounded memory.

    Args:
        limit: the most bytes of a line; a longer line is dropped and its number reported.
        number: the number of the first line.

    Attributes:
        number: the number of the next line.
        waiting: the bytes of the incomplete line at the end, kept or dropped.
    """

    def __init__(self, limit: int = MAX_LINE, number: int = 1) -> None:
        self.number = number
        self.waiting = 0
        self._limit = limit
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> LineChunk | None:
        """Add the next bytes of the stream; return the lines that are complete now, or None."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._keep(data)
            return None
        first_end = data.find(b"\n") + 1
        if self.waiting + first_end - 1 > self._limit:
            chunk = LineChunk(data[first_end:end], self.number + 1, (self.number,))
        else:
            chunk = LineChunk(b"".join((*self._parts, data[:end])), self.number)
        self.number += data.count(b"\n")
        self._parts, self.waiting = [], 0
        self._keep(data[end:])
        return chunk

    def end(self) -> LineChunk | None:
        """Return the bytes after the last newline as a line; None if there are none."""
        if not self.waiting:
            return None
        long = self.waiting > self._limit
        chunk = (
            LineChunk(b"", self.number + 1, (self.number,)) if long else LineChunk(b"".join(self._parts), self.number)
        )
        self.number += 1
        self._parts, self.waiting = [], 0
        return chunk

    def _keep(self, part: bytes) -> None:
        if part:
            self.waiting += len(part)
            if self.waiting > self._limit:
                self._parts = []
            else:
                self._parts.append(part)


_NORMAL: Final = "normal"


def numbered_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | EventError]]:
    """Yield each line that is not blank with its number, from 1. A line that is too long is an EventError."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield number, too_long(MAX_LINE)
        elif line.strip():
            yield number, line


def numbered_events(file: IO[bytes], form: str | None) -> Iterator[tuple[int, Any]]:
    """Yield the event of each line that is not blank with the number of the line; an EventError for a bad line."""
    for number, line in numbered_lines(file):
        try:
            event = line if isinstance(line, EventError) else to_event(line.rstrip(b"\r\n"), form)
        except EventError as error:
            event = error
        yield number, event


def is_surely_normal(data: bytes, form: str | None) -> bool:
    """Return whether a JSON record is certainly in the normal form, without decoding it."""
    return form == _NORMAL if form is not None else not has_other_form(data)
