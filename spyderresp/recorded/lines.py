"""Numbered lines of a file of JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from spyderresp.errors import EventError
from spyderresp.service.lines import MAX_LINE, too_long


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
