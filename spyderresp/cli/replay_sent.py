"""Work that other engines hand to their workers: one file of a recording, by one engine, compiled once a process."""

from __future__ import annotations

import functools
import pickle
import threading
import zlib
from collections.abc import Sequence
from typing import Final

from spyderresp.cli.replay_reading import Piece, piece_of
from spyderresp.engine import Engine

_COMPILING: Final = threading.Lock()


class Work:
    """The files of a recording, and what decides them. Pickles small: a worker unpacks and compiles policies once.

    Args:
        engine: decides; its policies are sent with their places, as reports tell them.
        form: the form of the events; None: told by their shape.
        files: what messages call each, and its path, under which every worker has to find it.
    """

    def __init__(self, engine: Engine, form: str | None, files: Sequence[tuple[str, str]]) -> None:
        self.files = tuple(files)
        self._form = form
        self._data = zlib.compress(pickle.dumps(engine, pickle.HIGHEST_PROTOCOL), 1)

    def piece(self, number: int) -> Piece:
        """Return what a file comes to."""
        with _COMPILING:
            engine = _engine_of(self._data)
        return piece_of(engine, self._form, *self.files[number])


@functools.lru_cache(maxsize=2)
def _engine_of(data: bytes) -> Engine:
    """Return the engine. A function of its argument, remembered: docs/decisions/0050."""
    engine: Engine = pickle.loads(zlib.decompress(data))  # noqa: S301 - part of a pickle that was being loaded anyway
    return engine
