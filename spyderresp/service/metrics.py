"""What a running service counts. Metrics, health and the last word read it; docs/RUN.md names every figure."""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from spyderresp.decision.engine import Engine
from spyderresp.execution.guards import Guard
from spyderresp.execution.interfaces import JournalError
from spyderresp.execution.report import StepOutcome
from spyderresp.service.intake import BadRecord, Intake

#: The upper bounds of the latency histogram, in seconds.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass
class Counts:
    """Figures since the start. Every change is made under ``lock``.

    Attributes:
        accepted: events that a source handed in, by source.
        decided: events that have a plan.
        bad: events that could not be decided, by source.
        turned_away: requests and connections that were refused, by reason.
        dead_letters: messages of brokers that could not be decided and were put aside, by source.
        steps: what became of steps, by action and outcome.
        reloads: loads of policies after the first, by result: ``ok``, ``failed``, ``unchanged``.
        latency: how many deliveries were answered within each of ``BUCKETS``, and beyond the last.
        seconds: the sum of those times.
    """

    accepted: Counter[str] = field(default_factory=Counter)
    decided: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    turned_away: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    reloads: Counter[str] = field(default_factory=Counter)
    latency: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, source: str, good: int, bad: int) -> None:
        """Count what became of a delivery's events."""
        with self.lock:
            self.accepted[source] += good + bad
            self.decided += good
            if bad:
                self.bad[source] += bad

    def took(self, steps: Iterable[tuple[str, str]]) -> None:
        """Count steps, each as its action and outcome."""
        with self.lock:
            self.steps.update(steps)

    def waited(self, seconds: float) -> None:
        """Count how long a delivery took, from its arrival to its answer."""
        with self.lock:
            self.latency[bisect.bisect_left(BUCKETS, seconds)] += 1
            self.seconds += seconds

    def turn_away(self, reason: str) -> None:
        """Count a request or a connection that was refused."""
        with self.lock:
            self.turned_away[reason] += 1

    def dead_letter(self, source: str) -> None:
        """Count a dead letter that has arrived."""
        with self.lock:
            self.dead_letters[source] += 1

    def reloaded(self, result: str) -> None:
        """Count a load of policies."""
        with self.lock:
            self.reloads[result] += 1


# How a service is at a moment: what health and metrics tell.


@dataclass(frozen=True, slots=True)
class State:
    """A moment.

    Attributes:
        ready: whether events are accepted.
        journal: whether the journal can be read and written; True where there is none.
        waiting: about how many events wait to be decided.
        most: how many may.
        policies: how many are in force.
        digest: of these.
        breakers: those that are open, by name, and for how many seconds.
        owed: how many flags each sink is owed.
    """

    ready: bool
    journal: bool
    waiting: int
    most: int
    policies: int
    digest: str
    breakers: Mapping[str, float] = field(default_factory=dict)
    owed: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Watch:
    """Looks at the parts of a service.

    Attributes:
        engine, guard, intake: these parts.
        owed: returns how many flags each sink is owed; raises ``JournalError``. None: there is no journal.
        ready: whether events are accepted now; the service's word for it, once there is a service.
    """

    engine: Engine
    guard: Guard
    intake: Intake
    owed: Callable[[], Mapping[str, int]] | None = None
    ready: Callable[[], bool] = bool

    def state(self) -> State:
        """Return how things are now."""
        owed: Mapping[str, int] = {}
        journal = True
        if self.owed is not None:
            try:
                owed = self.owed()
            except JournalError:
                journal = False
        policies = self.engine.policies
        return State(
            ready=self.ready(),
            journal=journal,
            waiting=self.intake.depth,
            most=self.intake.max_events,
            policies=len(policies),
            digest=policies.digest,
            breakers=self.guard.open_breakers(),
            owed=owed,
        )


# The command line implements this protocol.

Level = Literal["info", "warning", "error"]


class ServiceObserver(Protocol):
    """Receives what the service reports. Called from several threads; an exception that it raises ends the service."""

    def say(self, level: Level, message: str) -> None:
        """Receive a message about the service itself."""

    def bad(self, source: str, bad: BadRecord) -> None:
        """Receive an event that could not be decided."""

    def outcome(self, source: str, line: int, outcome: StepOutcome) -> None:
        """Receive the outcome of a step. ``line`` is 0 for a flag that a guard raised and for a later outcome."""

    def flush(self) -> None:
        """Write everything out before returning."""
