"""Steps that an executor accepted are asked after now and then, in a thread: the answer may be a network away."""

from __future__ import annotations

import threading
import time
from typing import Final

from spyderresp.journal.base import JournalError, OpenJournal
from spyderresp.reconciliation import follow_up
from spyderresp.service.rounds import Hands

_EVERY: Final = 5.0


class FollowUp:
    """A chore: asks what became of steps that are under way.

    Args:
        hands: whose executors are asked, and who hears of it.
        journal: where the steps are.
        every: how many seconds lie between two times.
    """

    def __init__(self, hands: Hands, journal: OpenJournal, every: float = _EVERY) -> None:
        self._hands = hands
        self._journal = journal
        self._every = every
        self._next = time.monotonic() + every
        self._thread: threading.Thread | None = None
        self._failing = False

    def look(self) -> None:
        """Begin to ask, where it is time and nobody is at it."""
        if time.monotonic() < self._next or (self._thread is not None and self._thread.is_alive()):
            return
        self._next = time.monotonic() + self._every
        self._thread = threading.Thread(target=self.ask, name="follow-up", daemon=True)
        self._thread.start()

    def asked(self) -> None:
        """Nothing more than usual is done when asked."""

    def ask(self) -> None:
        """Ask, and tell what became of what is over."""
        try:
            ended = follow_up(self._hands.executors, self._journal)
        except JournalError as error:
            if not self._failing:
                self._failing = True
                self._hands.teller.say("error", f"steps under way cannot be followed up: {error}")
            return
        self._failing = False
        for outcome in ended:
            self._hands.teller.outcome("", 0, outcome)
        self._hands.counts.took((outcome.action, outcome.status) for outcome in ended)

    def end(self, seconds: float) -> None:
        """Wait for whoever is at it."""
        if self._thread is not None:
            self._thread.join(seconds)
