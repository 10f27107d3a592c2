"""The contract between ``execute`` and what carries steps out. docs/EXECUTORS.md says how to write one.

Two halves. ``resolve`` finds the target, takes hold of it, and only then compares it with what the event says; it
changes nothing. ``act`` works on what is held, and on nothing else. Between the two stand the guards and the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from spyderresp.protection import Protection
from spyderresp.report import Result
from spyderresp.steps import Step

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
        """Deliver flag records, as ``spyderresp.records`` makes them, all or none.

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


class DeliveryError(Exception):
    """A sink did not take records.

    Attributes:
        permanent: another attempt will not help.
        retry_after: how many seconds to wait before another, where the receiver said so.
    """

    def __init__(self, reason: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.retry_after = retry_after
