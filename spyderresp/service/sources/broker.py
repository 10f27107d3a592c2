"""What all brokers share: when a message is a dead letter, what is said of it, and how trouble is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from spyderresp.service.intake import Answer
from spyderresp.service.telling import Level, Teller

_LONGEST: Final = 1000
# Trouble that goes on is told again after so many seconds.
_AGAIN: Final = 300.0


def fault_of(answer: Answer) -> str | None:
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
        teller: hears of it.
        steady: seconds, by a clock that never goes back.
    """

    def __init__(self, name: str, teller: Teller, steady: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._teller = teller
        self._steady = steady
        self._told: dict[str, float] = {}

    def say(self, kind: str, message: str, level: Level = "warning") -> None:
        """Tell of trouble, unless of this kind was told not long ago."""
        now = self._steady()
        if now - self._told.get(kind, -_AGAIN) >= _AGAIN:
            self._told[kind] = now
            self._teller.say(level, f"{self._name}: {message}")

    def over(self, kind: str) -> None:
        """Tell that trouble of a kind is over, if it was told of."""
        if self._told.pop(kind, None) is not None:
            self._teller.say("info", f"{self._name}: goes on")
