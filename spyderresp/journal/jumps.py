"""Jumps of the wall clock, as entries."""

from __future__ import annotations

from typing import Final

from spyderresp.clock import Clock
from spyderresp.journal.chain import canonical
from spyderresp.journal.commits import Transaction

# The wall clock may be slewed by this much between two commits without a word.
_JUMP_SECONDS: Final = 2.0


class Jumps:
    """Writes down that the wall clock jumped: the times of entries are for people, who must know when they lie."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.wall() - clock.steady()
        self._seen = self._ahead

    def write(self, transaction: Transaction) -> None:
        """Write the jump since the last commit, where there was one."""
        self._seen = self._clock.wall() - self._clock.steady()
        jump = self._seen - self._ahead
        if abs(jump) > _JUMP_SECONDS:
            transaction.append("clock", canonical({"seconds": round(jump, 3)}))

    def written(self) -> None:
        """Measure from here on."""
        self._ahead = self._seen
