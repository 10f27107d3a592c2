"""Events from files and standard input, as records in the normal form."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from typing import IO

from spyderresp.cli.output import CannotGoOnError, safe
from spyderresp.recorded.lines import numbered_lines
from spyderresp.service.lines import MAX_LINE, to_event

__all__ = ["MAX_LINE", "numbered_lines", "opened", "to_event"]


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
