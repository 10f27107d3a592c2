"""What ``execute`` asks of a journal, and the values that go into it.

``spyderresp.journal.Journal`` is the one that ships.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from spyderresp.report import Status, StepOutcome
from spyderresp.steps import Step


class JournalError(Exception):
    """The journal cannot be written, or is not one: a full disk, another process that holds it, a file of another kind.

    Attributes:
        path: the file.
        reason: why, for people.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Intent:
    """A step that is about to be taken.

    Attributes:
        step: the step.
        executor: the name of the executor that will.
        identity: of the target, or empty.
        facts: what was found of it.
        sinks: for a flag, the names of the sinks that it is owed to; the journal keeps it for each until it is
            delivered.
        record: for a flag, what is delivered.
    """

    step: Step
    executor: str
    identity: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    sinks: tuple[str, ...] = ()
    record: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the journal knows of a step with the same key.

    Attributes:
        status: what became of it; None where it was begun and nothing more is known.
        began: when, in epoch seconds.
        ours: whether this very process began it and is still at it.
    """

    status: Status | None
    began: float
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Missed:
    """Why a sink did not take all that it was offered.

    Attributes:
        reason: why it takes nothing now, and the journal keeps the rest; empty where there is no rest.
        buried: keys of flags that it refused for good, lately; they are dead letters in the journal.
    """

    reason: str
    buried: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Opened:
    """A step that an earlier process began and never ended.

    Attributes:
        step: the step.
        executor: the name of the executor that was to take it; for a flag those of all, joined by a comma.
        began: when, in epoch seconds.
        sinks: for a flag, the names of the sinks that it was owed to.
        owed: for a flag, those that it still is owed to.
    """

    step: Step
    executor: str
    began: float
    sinks: tuple[str, ...] = ()
    owed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A step that an executor accepted, and of which it is not known yet what became.

    Attributes:
        step: the step.
        executor: the name of the executor.
        details: those of its answer.
    """

    step: Step
    executor: str
    details: Mapping[str, Any]


class StepJournal(Protocol):
    """Where steps are written before they are tried, and after. Safe to use from several threads.

    Every method that writes returns when what it wrote is on the disk; writers that come together share one commit.
    """

    def earlier(self, keys: Sequence[str]) -> Mapping[str, Earlier]:
        """Return what is known of steps with these keys; a key of which nothing is known is left out.

        Raises:
            JournalError: it cannot be read.
        """

    def begin(
        self,
        intents: Sequence[Intent],
        *,
        guard: Callable[[], Mapping[str, Any]] | None = None,
        take_over: frozenset[str] = frozenset(),
    ) -> Mapping[str, Earlier]:
        """Claim steps, all in one commit; return those that somebody else claimed first, which are not ours to take.

        Args:
            intents: the steps.
            guard: gives the state of the breakers, to be kept with them as it is when they are written.
            take_over: keys of steps that an earlier process began and never ended, and that are now taken by us.

        Raises:
            JournalError: it cannot be written; nothing is claimed.
        """

    def finish(self, outcomes: Iterable[StepOutcome], *, guard: Callable[[], Mapping[str, Any]] | None = None) -> None:
        """Write what became of steps, begun ones and those that never had to be; and the state of the breakers.

        Raises:
            JournalError: it cannot be written; begun steps stay open, and are checked after the next start.
        """

    def guard_state(self) -> Mapping[str, Any] | None:
        """Return the state of the breakers that was kept last, or None.

        Raises:
            JournalError: it cannot be read.
        """

    def deliver_now(self, sinks: Mapping[str, Any]) -> Mapping[str, Missed]:
        """Deliver what local sinks are owed, oldest first; return why, by name, for those that did not take it all.

        Remote ones are left to the worker, which is woken. Raises nothing: what was begun is owed until delivered.
        """


class OpenJournal(StepJournal, Protocol):
    """What a restart asks of a journal besides."""

    def open_steps(self) -> Sequence[Opened]:
        """Return the steps that an earlier process began and never ended, oldest first.

        Raises:
            JournalError: it cannot be read.
        """

    def under_way(self) -> Sequence[UnderWay]:
        """Return the agent actions that were accepted and not followed up to their end.

        Raises:
            JournalError: it cannot be read.
        """

    def attach(self, sinks: Iterable[Any]) -> None:
        """Deliver to these sinks, by their names, what an earlier process left owed to them.

        Raises:
            JournalError: it is closed.
        """

    def settle(self, outcomes: Iterable[StepOutcome]) -> None:
        """Write what became of steps that an earlier process began, or that were under way.

        Raises:
            JournalError: it cannot be written; they stay as they are.
        """
