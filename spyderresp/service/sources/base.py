"""What a source is to the service, and how it is told to end."""

from __future__ import annotations

import os
import threading
from typing import Protocol

from spyderresp.service.intake import Intake


class SourceError(Exception):
    """A source cannot be opened or read; the message names it, and is for people."""


class Stop:
    """Tells sources to end: a flag to look at, and a descriptor to wait for."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._read, self._write = os.pipe()

    @property
    def descriptor(self) -> int:
        """Readable once ``stop`` was called."""
        return self._read

    @property
    def called(self) -> bool:
        """Whether it was."""
        return self._set.is_set()

    def call(self) -> None:
        """Tell every source to end."""
        if not self._set.is_set():
            self._set.set()
            os.write(self._write, b".")

    def wait(self, seconds: float) -> bool:
        """Wait for the call; tell whether it came."""
        return self._set.wait(seconds)

    def close(self) -> None:
        """Give the descriptors back; no source waits any more."""
        os.close(self._read)
        os.close(self._write)


class Source(Protocol):
    """Hands deliveries in, in a thread of its own."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def open(self) -> None:
        """Get ready, before anything is accepted from any source.

        Raises:
            SourceError: it cannot.
        """

    def run(self, intake: Intake, stop: Stop) -> None:
        """Hand in what comes, until there is no more or ``stop`` is called.

        Raises:
            SourceError: it cannot be read any more.
        """

    def close(self) -> None:
        """Give back what it holds: everything that it handed in has been answered, or never will be."""
