"""Events from files and standard input, as records in the normal form."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from typing import IO, Any, Final

from spyderresp.adapters import BUILT_IN
from spyderresp.cli.output import CannotGoOnError, safe
from spyderresp.engine import decode_event
from spyderresp.errors import EventError

MAX_LINE: Final = 16 * 1024 * 1024


@contextlib.contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Open a file of records; ``-`` is standard input.

    Raises:
        CannotGoOnError: it cannot be opened or read.
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
        raise CannotGoOnError(f"spyderresp: {safe(path)}: {reason}") from None


def numbered_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | EventError]]:
    """Yield line numbers from 1 and lines that are not blank; a line beyond the limit is an EventError in its place."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield number, EventError("", f"the line is longer than {MAX_LINE:,} bytes")
        elif line.strip():
            yield number, line


def to_event(data: bytes, form: str | None) -> Any:
    """Return the normal-form event of a JSON record.

    Raises:
        EventError: it is not JSON in UTF-8, or no adapter takes it.
    """
    record = decode_event(data)
    adapter = BUILT_IN.recognise(record) if form is None else BUILT_IN.named(form)
    # Nobody else holds the record, so what is in the normal form already need not be copied.
    return record if adapter.name == "normal" else BUILT_IN.adapt(record, adapter.name)
