"""What ``execute`` asks of a guard. ``spyderresp.guards.Guard`` is the one that ships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from spyderresp.executors.base import Held
from spyderresp.protection import Protection
from spyderresp.report import Result
from spyderresp.steps import Step


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a guard did that people must hear of; it becomes an ops flag.

    Attributes:
        rule: such as ``breaker:overall``.
        message: for people.
        details: JSON data.
        time: epoch seconds.
    """

    rule: str
    message: str
    details: Mapping[str, Any]
    time: float


class KeptState(Protocol):
    """Where the state of an earlier process is kept: a journal."""

    def guard_state(self) -> Mapping[str, Any] | None:
        """Return it, or None."""


class StepGuard(Protocol):
    """Refuses steps. Safe to use from several threads. Where it cannot tell, it refuses."""

    @property
    def protection(self) -> Protection:
        """What no action may touch."""

    def now(self) -> float:
        """Return the time in epoch seconds, by the guard's clock."""

    def before(self, step: Step) -> Result | None:
        """Return why a step must not be tried, or None.

        Asked before the target is looked for, and again right before it is acted on. Whatever can change in between
        is looked at each time: the kill switch, the mode, expiry, silences.
        """

    def admit(self, step: Step, held: Held | None) -> tuple[Result | None, tuple[Alarm, ...]]:
        """Return why a step must not be taken now, or None, and what the guard has to tell.

        What may be taken is counted.

        Args:
            step: the step; asked once.
            held: its verified target; None for a flag.
        """

    def state(self) -> Mapping[str, Any]:
        """Return what must survive a restart, as JSON data."""

    def remember(self, journal: KeptState) -> None:
        """Take over what an earlier process kept in a journal, once.

        What cannot be understood counts against the limits.

        Raises:
            JournalError: the journal cannot be read.
        """
