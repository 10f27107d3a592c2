"""Standard input, a pipe, or a file that is read once to its end."""

from __future__ import annotations

import os
import select
import stat
import time
from typing import Final

from spyderresp.service.intake import ClosedError, Delivery, Intake
from spyderresp.service.lines import MAX_LINE, Cutter, Piece
from spyderresp.service.sources.base import SourceError, Stop

_CHUNK: Final = 1 << 18


class Stream:
    """Reads JSON lines from a file or a pipe, to its end, as they come.

    Args:
        path: the file; None: standard input.
        max_line: the most bytes of a line.
    """

    def __init__(self, path: str | None, max_line: int = MAX_LINE) -> None:
        self._path = path
        self._max_line = max_line
        self._descriptor = -1

    @property
    def name(self) -> str:
        return "<stdin>" if self._path is None else self._path

    def open(self) -> None:
        if self._path is None:
            self._descriptor = 0
            return
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            if stat.S_ISDIR(os.fstat(self._descriptor).st_mode):
                raise IsADirectoryError(21, "Is a directory")
        except (OSError, ValueError) as error:
            raise SourceError(f"{self._path}: {reason_of(error)}") from None

    def run(self, intake: Intake, stop: Stop) -> None:
        cutter = Cutter(self._max_line)
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        waiting.register(stop.descriptor, select.POLLIN)
        try:
            while True:
                waiting.poll()
                if stop.called:
                    return
                chunk = os.read(self._descriptor, _CHUNK)
                piece = cutter.feed(chunk) if chunk else cutter.end()
                if piece is not None:
                    intake.put(self._delivery(piece))
                if not chunk:
                    return
        except OSError as error:
            raise SourceError(f"{self.name}: {reason_of(error)}") from None
        except ClosedError:
            return

    def _delivery(self, piece: Piece) -> Delivery:
        kind = "stdin" if self._path is None else "file"
        return Delivery(
            self.name, piece.data, time.time(), None, piece.first, piece.long, limit=self._max_line, kind=kind
        )

    def close(self) -> None:
        if self._descriptor > 0:
            os.close(self._descriptor)
        self._descriptor = -1


def reason_of(error: Exception) -> str:
    """Return why something failed, in lower case."""
    text = getattr(error, "strerror", None) or str(error) or "it failed"
    return text[:1].lower() + text[1:]
