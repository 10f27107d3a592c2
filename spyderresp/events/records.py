"""Numbered lines of a file of JSON lines, and what an engine says of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final, NamedTuple

from spyderresp.errors import EventError
from spyderresp.events._form_detection import has_other_form
from spyderresp.events.formats import BUILT_IN
from spyderresp.events.json_decoder import decode_event

# Bytes into records: lines out of a stream, events out of lines.

MAX_LINE: Final = 16 * 1024 * 1024


def to_event(data: bytes, form: str | None) -> Any:
    """Return the normal-form event of a JSON record.

    Raises:
        EventError: it is not JSON in UTF-8, or no adapter takes it.
    """
    return converted(decode_event(data), form)


def converted(record: Any, form: str | None) -> Any:
    """Return the normal-form event of a record.

    Raises:
        EventError: no adapter takes it.
    """
    adapter = BUILT_IN.recognise(record) if form is None else BUILT_IN.named(form)
    # The caller made this record for us, so a record in the normal form need not be copied.
    return record if adapter.name == "normal" else BUILT_IN.adapt(record, adapter.name)


def too_long(limit: int) -> EventError:
    """Return what is said of a line beyond the limit."""
    return EventError("", f"the line is longer than {limit:,} bytes")


class LineChunk(NamedTuple):
    """Whole lines of a stream.

    Attributes:
        data: the lines, each with its end, but perhaps the last.
        first: the number of the first of them, from 1.
        long: the numbers of lines beyond the limit, which are not in ``data``; they come before it.
    """

    data: bytes
    first: int
    long: tuple[int, ...] = ()


class LineSplitter:
    """Cuts a stream into pieces of whole lines, in bounded memory.

    Args:
        limit: the most bytes of a line; a longer line is skipped and its number reported.
        number: the number of the first line to come.

    Attributes:
        number: that of the next line.
        waiting: how many bytes of a line that has not ended yet have come, passed over or not.
    """

    def __init__(self, limit: int = MAX_LINE, number: int = 1) -> None:
        self.number = number
        self.waiting = 0
        self._limit = limit
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> LineChunk | None:
        """Take the stream's next bytes; return the lines that are whole by now, or None."""
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            self._keep(chunk)
            return None
        head = chunk.find(b"\n") + 1
        if self.waiting + head - 1 > self._limit:
            piece = LineChunk(chunk[head:cut], self.number + 1, (self.number,))
        else:
            piece = LineChunk(b"".join((*self._parts, chunk[:cut])), self.number)
        self.number += chunk.count(b"\n")
        self._parts, self.waiting = [], 0
        self._keep(chunk[cut:])
        return piece

    def end(self) -> LineChunk | None:
        """Return what stands after the last line's end, as a line; None where nothing does."""
        if not self.waiting:
            return None
        long = self.waiting > self._limit
        piece = (
            LineChunk(b"", self.number + 1, (self.number,)) if long else LineChunk(b"".join(self._parts), self.number)
        )
        self.number += 1
        self._parts, self.waiting = [], 0
        return piece

    def _keep(self, part: bytes) -> None:
        if part:
            self.waiting += len(part)
            if self.waiting > self._limit:
                self._parts = []
            else:
                self._parts.append(part)


_NORMAL: Final = "normal"


def numbered_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | EventError]]:
    """Yield line numbers from 1 and lines that are not blank; a line beyond the limit is an EventError in its place."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield number, too_long(MAX_LINE)
        elif line.strip():
            yield number, line


def is_surely_normal(data: bytes, form: str | None) -> bool:
    """Return whether a JSON record is certainly in the normal form, without decoding it."""
    return form == _NORMAL if form is not None else not has_other_form(data)
