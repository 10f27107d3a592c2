"""Waits between attempts, and a loop that repeats an attempt.

A wait is random between 0 and a bound that doubles with each failure ("full jitter"), so that senders that failed at
the same time do not retry at the same time. If the receiver asks for a wait, it is added to the random wait.
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")
# Limits the exponent, so that the float cannot overflow. The bound reaches `longest` much earlier.
_DOUBLINGS: Final = 60


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often to repeat a failed attempt, and how long to wait before each.

    Attributes:
        first: the most seconds to wait after the first failure; doubles with each further failure.
        longest: the most seconds to wait after any failure.
        attempts: the most attempts; None: no limit.
        within: the last attempt begins at most so many seconds after the first one; None: no limit.
        obeyed: the most seconds that a receiver can make the sender wait; a longer wait is shortened to this.
    """

    first: float = 0.5
    longest: float = 60.0
    attempts: int | None = 8
    within: float | None = None
    obeyed: float = 300.0

    def wait(self, failures: int, retry_after: float | None = None, draw: Callable[[], float] = random.random) -> float:
        """Return the seconds to wait before the next attempt.

        ``retry_after`` is the wait that the receiver asks for; ``draw`` returns a random number from 0 up to 1.
        """
        bound = min(self.longest, self.first * 2.0 ** min(failures - 1, _DOUBLINGS))
        # The receiver may have asked all senders for the same wait, so the random wait is added to it.
        asked = min(max(retry_after, 0.0), self.obeyed) if retry_after is not None else 0.0
        return asked + bound * draw()

    def gives_up(self, failures: int, since: float) -> bool:
        """Return whether to give up. ``since``: seconds from the first attempt to the next one."""
        return (self.attempts is not None and failures >= self.attempts) or (
            self.within is not None and since > self.within
        )


def call_with_retries(
    attempt: Callable[[], T],
    backoff: Backoff,
    again: Callable[[Exception], float | None],
    *,
    sleep: Callable[[float], object] = time.sleep,
    draw: Callable[[], float] = random.random,
    steady: Callable[[], float] = time.monotonic,
) -> T:
    """Call ``attempt`` until it succeeds or ``backoff`` gives up; return its value, or raise its last exception.

    ``again`` returns, for an exception of ``attempt``, the seconds of wait that the receiver asks for (0.0 if it asks
    for none), or None if another attempt cannot help. Tests replace the other arguments.
    """
    begun = steady()
    failures = 0
    while True:
        try:
            return attempt()
        except Exception as error:
            failures += 1
            asked = again(error)
            if asked is None:
                raise
            wait = backoff.wait(failures, asked, draw)
            if backoff.gives_up(failures, steady() - begun + wait):
                raise
        sleep(wait)


def retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds that an HTTP header ``Retry-After`` asks for; None if it is absent or cannot be read.

    Source: RFC 9110, section 10.2.3: a whole number of seconds, or a date. ``now`` is in epoch seconds.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        # Python refuses to convert very long numbers; a wait of 1e15 s is as good as for ever.
        return float(text) if len(text) < 16 else 1e15
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max(0.0, moment.timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None
