"""What a running service has to say, and to whom: the command line implements it."""

from __future__ import annotations

from typing import Literal, Protocol

from spyderresp.report import StepOutcome
from spyderresp.service.intake import Bad

Level = Literal["info", "warning", "error"]


class Teller(Protocol):
    """Hears what happens. Called from several threads; an exception out of it ends the service."""

    def say(self, level: Level, message: str) -> None:
        """Hear something about the service itself."""

    def bad(self, source: str, bad: Bad) -> None:
        """Hear of an event that could not be decided."""

    def outcome(self, source: str, line: int, outcome: StepOutcome) -> None:
        """Hear what became of a step; ``line`` 0 is nobody's: a flag that a guard raised, or a later answer."""

    def flush(self) -> None:
        """Have everything said by now."""
