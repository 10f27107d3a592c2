"""How long to wait before trying again, and trying again. Nothing here knows what is tried.

The wait is drawn at random from the whole range up to a bound that doubles ("full jitter"): senders that failed
together do not come back together. Where the other side says how long, no wait is shorter.
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")
# Beyond it doubling a float overflows; the bound is long since reached.
_DOUBLINGS: Final = 60


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often and how patiently to try again.

    Attributes:
        first: the most seconds to wait after the first failure; the bound doubles with each further one.
        longest: the most seconds to wait after any failure.
        attempts: how often to try in all; None: until ``within`` is over.
        within: how many seconds after the first attempt the last one may begin; None: at any time.
        obeyed: the most seconds to wait because the other side says so; one that says more is asked again after that.
    """

    first: float = 0.5
    longest: float = 60.0
    attempts: int | None = 8
    within: float | None = None
    obeyed: float = 300.0

    def wait(self, failures: int, retry_after: float | None = None, draw: Callable[[], float] = random.random) -> float:
        """Return how many seconds to wait after so many failures in a row.

        Args:
            failures: 1 after the first.
            retry_after: how many seconds the other side wants to be left alone.
            draw: a number from 0 up to 1.
        """
        bound = min(self.longest, self.first * 2.0 ** min(failures - 1, _DOUBLINGS))
        # Jitter on top of what was asked for: all that were turned away heard the same number.
        asked = min(max(retry_after, 0.0), self.obeyed) if retry_after is not None else 0.0
        return asked + bound * draw()

    def ended(self, failures: int, since: float) -> bool:
        """Tell whether to give up after so many failures, with the next attempt ``since`` seconds after the first."""
        return (self.attempts is not None and failures >= self.attempts) or (
            self.within is not None and since > self.within
        )


def repeated(
    attempt: Callable[[], T],
    backoff: Backoff,
    again: Callable[[Exception], float | None],
    *,
    sleep: Callable[[float], object] = time.sleep,
    draw: Callable[[], float] = random.random,
    steady: Callable[[], float] = time.monotonic,
) -> T:
    """Return what an attempt returns, made as often as it takes and ``backoff`` allows.

    Args:
        attempt: what is tried.
        backoff: how patiently.
        again: says of an exception whether another attempt may help: None: no; else how many seconds to wait at
            least, 0.0 where the other side did not say.
        sleep: waits so many seconds.
        draw: a number from 0 up to 1.
        steady: seconds, by a clock that never goes back.

    Raises:
        Exception: the last attempt's, where another cannot help or is not allowed.
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
            if backoff.ended(failures, steady() - begun + wait):
                raise
        sleep(wait)


def retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds that an HTTP ``Retry-After`` asks for; None where it says nothing that can be read.

    Source: RFC 9110, section 10.2.3: a whole number of seconds, or a date.

    Args:
        header: its value.
        now: epoch seconds.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        # Longer numbers than these are centuries, and can be longer than an integer may be.
        return float(text) if len(text) < 16 else 1e15
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max(0.0, moment.timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None
