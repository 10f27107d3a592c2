"""The contract between ``execute`` and what carries steps out. docs/EXECUTORS.md says how to write one.

Two halves. ``resolve`` finds the target, takes hold of it, and only then compares it with what the event says; it
changes nothing. ``act`` works on what is held, and on nothing else. Between the two stand the guards and the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from spyderresp.errors import SpyderrespError
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, Status, StepOutcome
from spyderresp.execution.steps import Step

#: An executor's refusal by this rule says that the event is another host's: the next executor is asked.
HOST_RULE: Final = "host"


class Held(Protocol):
    """A target that was found and verified, and is held until ``release``: no other can take its place."""

    @property
    def identity(self) -> str:
        """What tells this target from all others, such as ``process:BOOT:PID:TICKS``: breakers count these."""

    @property
    def namespace(self) -> str | None:
        """The Kubernetes namespace it is in, as far as known."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """JSON data for the journal, written before anything is done: what was found."""

    def act(self) -> Result:
        """Do it, to what is held, and say what became of it."""

    def release(self) -> None:
        """Let go. Called once, whether or not ``act`` was."""


class Executor(Protocol):
    """Carries out some actions. Safe to use from several threads.

    An exception out of it becomes a ``failed`` step; it never reaches the caller of ``execute``. One that has no
    effects says so by an attribute ``dry = True``: then no guard, no breaker and no journal stands before it.
    """

    @property
    def name(self) -> str:
        """What reports, journal and metrics call it; no two of one ``execute`` may share a name."""

    @property
    def actions(self) -> frozenset[str]:
        """The actions that it takes."""

    def resolve(self, step: Step, protection: Protection) -> Held | Result:
        """Take hold of the step's target, or say why not: ``refused``, ``mismatch``, ``already``, ``failed``."""

    def close(self) -> None:
        """Give back what it holds. It is not used again."""


class Following(Protocol):
    """What an executor is too that answers ``accepted``: it can say later what became of it."""

    def follow(self, step: Step, details: Mapping[str, Any]) -> Result:
        """Return ``accepted`` while it is still under way, else what became of it.

        ``details`` are those of the answer.
        """


class Sink(Protocol):
    """What an executor of flags is too: a place that takes flag records, tried again until it does."""

    @property
    def local(self) -> bool:
        """Whether delivery is quick and needs no network; else a worker delivers what the journal holds."""

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Deliver flag records, as ``spyderresp.execution.flags`` makes them, all or none.

        Each has a stable ``id``, by which a receiver drops repeats.

        Raises:
            DeliveryError: they were not taken; ``permanent`` ones never will be.
        """


class RemoteSink(Sink, Protocol):
    """A sink whose delivery takes a while.

    Without a journal it keeps what it is offered in a bounded queue of its own.
    """

    def offer(self, records: list[Mapping[str, Any]]) -> None:
        """Take flag records for later, at once.

        Raises:
            DeliveryError: the queue is full.
        """


class DeliveryError(SpyderrespError):
    """A sink did not take records.

    Attributes:
        permanent: another attempt will not help.
        retry_after: how many seconds to wait before another, where the receiver said so.
    """

    def __init__(self, reason: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.retry_after = retry_after


# What ``execute`` asks of a guard. ``spyderresp.guards.Guard`` is the one that ships.


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


# What ``execute`` asks of a journal, and the values that go into it.
#
# ``spyderresp.journal.Journal`` is the one that ships.


class JournalError(SpyderrespError):
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
class RecordedStep:
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
class DeliveryFailure:
    """Why a sink did not take all that it was offered.

    Attributes:
        reason: why it takes nothing now, and the journal keeps the rest; empty where there is no rest.
        buried: keys of flags that it refused for good, lately; they are dead letters in the journal.
    """

    reason: str
    buried: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OpenedBreaker:
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
class OpenStep:
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

    def earlier(self, keys: Sequence[str]) -> Mapping[str, RecordedStep]:
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
    ) -> Mapping[str, RecordedStep]:
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

    def deliver_now(self, sinks: Mapping[str, Any]) -> Mapping[str, DeliveryFailure]:
        """Deliver what local sinks are owed, oldest first; return why, by name, for those that did not take it all.

        Remote ones are left to the worker, which is woken. Raises nothing: what was begun is owed until delivered.
        """


class OpenJournal(StepJournal, Protocol):
    """What a restart asks of a journal besides."""

    def open_steps(self) -> Sequence[OpenedBreaker]:
        """Return the steps that an earlier process began and never ended, oldest first.

        Raises:
            JournalError: it cannot be read.
        """

    def under_way(self) -> Sequence[OpenStep]:
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
