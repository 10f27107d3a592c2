"""The protocols between ``execute`` and its parts: executors, sinks, guards and journals.

docs/EXECUTORS.md says how to write an executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from spyderresp.errors import SpyderrespError
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, Status, StepOutcome
from spyderresp.execution.steps import Step

#: The rule of a refusal because the event is from another host or cluster. Only after it the next executor is asked.
HOST_RULE: Final = "host"

# Executors.


class Held(Protocol):
    """A verified target, held until ``release``, so that no other process or pod can take its place."""

    @property
    def identity(self) -> str:
        """A text that only this target has, such as ``process:BOOT:PID:TICKS``. Breakers count distinct ones."""

    @property
    def namespace(self) -> str | None:
        """The Kubernetes namespace of the target; None: not known."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was found about the target, as JSON data. The journal records it before ``act`` is called."""

    def act(self) -> Result:
        """Carry the step out on the held target, and on nothing else. Called at most once."""

    def release(self) -> None:
        """Release the target. Called once, also if ``act`` was not called."""


class Executor(Protocol):
    """Carries some actions out. Several threads may use it.

    The work has two halves. ``resolve`` takes hold of the target, then compares it with the event, and changes nothing.
    ``Held.act`` acts on what is held. Between the halves the guard admits the step and the journal records it.

    An exception becomes a ``failed`` outcome. An executor without effects has an attribute ``dry = True``; its steps
    skip the guard, the breakers and the journal.

    A class needs these members and not this base class. With the base class, type checkers infer ``list[Executor]``
    for a list of different executors. The members are read-only here, so a class with the base class that sets ``name``
    or ``actions`` on its instances also gives them a value in the class body.
    """

    @property
    def name(self) -> str:
        """The name in reports, journal and metrics. Executors of one ``execute`` have different names."""

    @property
    def actions(self) -> frozenset[str]:
        """The actions that it carries out, such as ``agentKillProcess``."""

    def resolve(self, step: Step, protection: Protection) -> Held | Result:
        """Return the held target, or a result: ``refused``, ``mismatch``, ``already`` or ``failed``."""

    def close(self) -> None:
        """Release files, connections and threads. The executor is not used afterwards."""


class SupportsFollow(Protocol):
    """An executor that can report the final outcome of a step that it ``accepted``."""

    def follow(self, step: Step, details: Mapping[str, Any]) -> Result:
        """Return ``accepted`` while the step is under way, else its final result.

        Args:
            step: the accepted step.
            details: the ``details`` of the result that accepted it.
        """


class Sink(Protocol):
    """An executor of flags that delivers records. Failed deliveries are repeated."""

    @property
    def local(self) -> bool:
        """Whether delivery is quick and needs no network. If not, the journal delivers in a thread."""

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Deliver flag records, all or none.

        Args:
            records: records as docs/FLAGS.md describes them. The ``id`` of a record is the same in each attempt, so a
                receiver can drop repeats.

        Raises:
            DeliveryError: the records were not delivered.
        """


class RemoteSink(Sink, Protocol):
    """A sink that needs the network. It has a bounded queue in memory, for use without a journal."""

    def offer(self, records: list[Mapping[str, Any]]) -> None:
        """Queue flag records and return at once.

        Raises:
            DeliveryError: the queue is full.
        """


class DeliveryError(SpyderrespError):
    """A sink did not deliver records.

    Attributes:
        permanent: whether another attempt cannot succeed.
        retry_after: the seconds to wait before another attempt, if the receiver asked for a wait; else None.
    """

    def __init__(self, reason: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.retry_after = retry_after


# Guards. ``spyderresp.guards.Guard`` is the one that ships.


@dataclass(frozen=True, slots=True)
class Alarm:
    """An event of a guard that people must see, such as a breaker that opened. It is raised as an ops flag.

    Attributes:
        rule: the rule that raised it, such as ``breaker:overall``.
        message: for people.
        details: JSON data.
        time: epoch seconds.
    """

    rule: str
    message: str
    details: Mapping[str, Any]
    time: float


class GuardStateStore(Protocol):
    """Holds the state of the breakers across restarts: a journal."""

    def guard_state(self) -> Mapping[str, Any] | None:
        """Return the state that was saved last; None: there is none."""


class StepGuard(Protocol):
    """Refuses steps. Several threads may use it. If it cannot decide, it refuses."""

    @property
    def protection(self) -> Protection:
        """The processes and pods that no action may touch."""

    def now(self) -> float:
        """Return the epoch seconds of the guard's clock."""

    def before(self, step: Step) -> Result | None:
        """Return the refusal of a step, or None.

        Called before the target is looked up and again right before ``act``, because the answer can change meanwhile:
        kill switch, audit mode, expiry, silences.
        """

    def admit(self, step: Step, held: Held | None) -> tuple[Result | None, tuple[Alarm, ...]]:
        """Return the refusal of a step, or None, and the alarms that this call caused. Count the step if admitted.

        Args:
            step: a step; each is passed at most once.
            held: its verified target; None for a flag.
        """

    def state(self) -> Mapping[str, Any]:
        """Return the state that must survive a restart, as JSON data."""

    def remember(self, journal: GuardStateStore) -> None:
        """Restore the state that an earlier process saved. Only the first call for each journal has an effect.

        If the state cannot be read, the guard refuses kills for a while.

        Raises:
            JournalError: the journal cannot be read.
        """


# Journals. ``spyderresp.journal.Journal`` is the one that ships.


class JournalError(SpyderrespError):
    """The journal cannot be read or written: the disk is full, another process uses it, or it is not a journal.

    Attributes:
        path: the file.
        reason: for people.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Intent:
    """A step that is about to be carried out, for the journal.

    Attributes:
        step: the step.
        executor: the name of the executor; for a flag the names of all, joined by a comma.
        identity: ``Held.identity`` of the target; empty for a flag.
        facts: ``Held.facts`` of the target.
        sinks: for a flag, the names of the sinks. The journal keeps the flag for each sink until it is delivered.
        record: for a flag, the record to deliver.
    """

    step: Step
    executor: str
    identity: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    sinks: tuple[str, ...] = ()
    record: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """What the journal has recorded about a step.

    Attributes:
        status: its outcome; None: no outcome is recorded.
        began: when it was begun, in epoch seconds.
        ours: whether this process began it and has not ended it.
    """

    status: Status | None
    began: float
    ours: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """Why a sink did not deliver all of its flags.

    Attributes:
        reason: why flags remain in the journal; empty: none remain.
        dead_letters: keys of the steps of flags that the sink refused for good lately.
    """

    reason: str
    dead_letters: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A step that an earlier process began and did not end.

    Attributes:
        step: the step.
        executor: the name of the executor; for a flag the names of all, joined by a comma.
        began: when it was begun, in epoch seconds.
        sinks: for a flag, the names of its sinks.
        undelivered: for a flag, the names of the sinks that it is not delivered to yet.
    """

    step: Step
    executor: str
    began: float
    sinks: tuple[str, ...] = ()
    undelivered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AcceptedStep:
    """A step that an executor accepted and whose final outcome is not recorded yet.

    Attributes:
        step: the step.
        executor: the name of the executor.
        details: the ``details`` of the result that accepted it.
    """

    step: Step
    executor: str
    details: Mapping[str, Any]


class StepJournal(Protocol):
    """Records steps before and after they are carried out. Several threads may use it.

    A method that writes returns after the data is on the disk. Threads that write at the same time share one commit.
    Methods raise ``JournalError`` if the journal cannot be read or written.
    """

    def earlier(self, keys: Sequence[str]) -> Mapping[str, RecordedStep]:
        """Return the records of the steps with these keys; keys without a record are left out."""

    def begin(
        self,
        intents: Sequence[Intent],
        *,
        guard: Callable[[], Mapping[str, Any]] | None = None,
        take_over: frozenset[str] = frozenset(),
    ) -> Mapping[str, RecordedStep]:
        """Claim steps in one commit. Return the records of steps that are claimed already: do not carry those out.

        Args:
            intents: the steps.
            guard: returns the state of the breakers, which is saved in the same commit.
            take_over: keys of open steps of an earlier process that this process may claim.

        Raises:
            JournalError: the journal cannot be written; nothing is claimed.
        """

    def finish(self, outcomes: Iterable[StepOutcome], *, guard: Callable[[], Mapping[str, Any]] | None = None) -> None:
        """Record outcomes, of claimed steps and of others, such as refused ones; save the state of the breakers.

        Raises:
            JournalError: the journal cannot be written. Claimed steps stay open; the next start checks them.
        """

    def guard_state(self) -> Mapping[str, Any] | None:
        """Return the state of the breakers that was saved last; None: there is none."""

    def deliver_now(self, sinks: Mapping[str, Any]) -> Mapping[str, DeliveryFailure]:
        """Deliver the flags of local sinks, oldest first. Return the failures by sink name; raise nothing.

        Flags of remote sinks are delivered by a thread; this call wakes it.
        """


class OpenJournal(StepJournal, Protocol):
    """A journal that a restarted process can continue."""

    def open_steps(self) -> Sequence[OpenStep]:
        """Return the steps that an earlier process began and did not end, oldest first."""

    def under_way(self) -> Sequence[AcceptedStep]:
        """Return the agent actions that were accepted and whose final outcome is not recorded yet."""

    def attach(self, sinks: Iterable[Any]) -> None:
        """Deliver the flags that an earlier process left for these sinks. Sinks are matched by name."""

    def settle(self, outcomes: Iterable[StepOutcome]) -> None:
        """Record the outcomes of open steps of an earlier process, and final outcomes of accepted steps.

        Raises:
            JournalError: the journal cannot be written; the steps stay open.
        """
