"""What a source is to the service, and how it is told to end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final, Protocol

from spyderresp.errors import SpyderrespError
from spyderresp.service.intake import DeliveryResult, Intake
from spyderresp.service.metrics import Level, ServiceObserver


class SourceError(SpyderrespError):
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


# What all brokers share: when a message is a dead letter, what is said of it, and how trouble is told.

_LONGEST: Final = 1000
# Trouble that goes on is told again after so many seconds.
_AGAIN: Final = 300.0


def fault_of(answer: DeliveryResult) -> str | None:
    """Return why a message is a dead letter; None where every event in it was decided, and there was one."""
    if not answer.bad:
        return None if answer.events else "no event is in it"
    first = str(answer.bad[0].error)
    more = len(answer.bad) - 1
    said = f"{first} (and {more:,} more)" if more else first
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in said[:_LONGEST])


def letter_id(*place: object) -> str:
    """Return what names a dead letter, from where its message stands: the same one each time that it is sent."""
    return sha256("\n".join(map(str, place)).encode()).hexdigest()


class Trouble:
    """Tells of trouble once, and of its end.

    Args:
        name: of the source.
        observer: receives a message about it.
        steady: seconds, by a clock that never goes back.
    """

    def __init__(self, name: str, observer: ServiceObserver, steady: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._observer = observer
        self._steady = steady
        self._told: dict[str, float] = {}

    def say(self, kind: str, message: str, level: Level = "warning") -> None:
        """Tell of trouble, unless of this kind was told not long ago."""
        now = self._steady()
        if now - self._told.get(kind, -_AGAIN) >= _AGAIN:
            self._told[kind] = now
            self._observer.say(level, f"{self._name}: {message}")

    def over(self, kind: str) -> None:
        """Tell that trouble of a kind is over, if it was told of."""
        if self._told.pop(kind, None) is not None:
            self._observer.say("info", f"{self._name}: goes on")
