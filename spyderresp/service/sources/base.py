"""The protocol of a source, and the signal that ends one."""

from __future__ import annotations

import os
import threading
from typing import Protocol

from spyderresp.errors import SpyderrespError
from spyderresp.service.intake import Intake


class SourceError(SpyderrespError):
    """A source cannot be opened or read. The message names the source and can be shown to a person."""


class Stop:
    """A signal that asks sources to end: a flag to check, and a file descriptor to wait for."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._read, self._write = os.pipe()

    @property
    def descriptor(self) -> int:
        """A file descriptor that is readable after ``call``."""
        return self._read

    @property
    def called(self) -> bool:
        """Whether ``call`` was called."""
        return self._set.is_set()

    def call(self) -> None:
        """Ask every source to end."""
        if not self._set.is_set():
            self._set.set()
            os.write(self._write, b".")

    def wait(self, seconds: float) -> bool:
        """Wait for ``call``, ``seconds`` at most; return whether it was called."""
        return self._set.wait(seconds)

    def close(self) -> None:
        """Close the file descriptors; no source may wait for them any more."""
        os.close(self._read)
        os.close(self._write)


class Source(Protocol):
    """Puts deliveries into the intake. Each source runs in a thread of its own."""

    @property
    def name(self) -> str:
        """The name of the source in log lines."""

    def open(self) -> None:
        """Prepare to read. Every source is opened before the first one runs.

        Raises:
            SourceError: it cannot be opened.
        """

    def run(self, intake: Intake, stop: Stop) -> None:
        """Put deliveries into the intake until the source ends or ``stop`` is called.

        Raises:
            SourceError: it cannot be read any more.
        """

    def close(self) -> None:
        """Close everything. Its deliveries have their results by now, or will never have one."""
