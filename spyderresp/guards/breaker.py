"""A breaker: a small state machine, as one pure function. tests/unit/test_breaker.py walks all of its states.

    closed --a new target beyond the limit--> open --a window without any attempt, or by hand--> closed

While it is open every attempt is refused and starts the quiet window anew, so that a flood cannot wait it out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Verdict = Literal["allowed", "opened", "refused"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one breaker.

    Attributes:
        targets: the distinct targets of the window and when each was last allowed, in seconds of a steady clock, oldest
            first.
        opened: when it opened, or None while it is closed.
        last: the latest attempt.
    """

    targets: tuple[tuple[str, float], ...] = ()
    opened: float | None = None
    last: float = 0.0

    def idle(self, now: float, window: float) -> bool:
        """Whether it says no more than a new one would."""
        return now - self.last >= window


def attempt(state: Breaker, target: str, now: float, *, limit: int, window: float) -> tuple[Breaker, Verdict]:
    """Return the state after an attempt on a target, and the verdict.

    Args:
        state: the state before.
        target: what tells this target from others; an empty text is a new target each time.
        now: seconds of the clock that ``state`` speaks of.
        limit: how many distinct targets a window may have.
        window: its length in seconds.
    """
    if state.opened is not None:
        if not state.idle(now, window):
            return replace(state, last=max(now, state.last)), "refused"
        state = Breaker()
    recent = tuple(item for item in state.targets if now - item[1] < window)
    # A target met again counts from now on: else two could be touched within a window that allows one.
    others = tuple(item for item in recent if not target or item[0] != target)
    if len(others) >= limit:
        return Breaker(recent, now, now), "opened"
    return Breaker((*others, (target, now)), None, now), "allowed"
