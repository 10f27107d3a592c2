"""The counters and the state of a running service, for metrics, health checks and the summary at the end.

docs/RUN.md lists every metric.
"""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from spyderresp.decision.engine import Engine
from spyderresp.execution.guards.guard import Guard
from spyderresp.execution.interfaces import JournalError
from spyderresp.execution.report import StepOutcome
from spyderresp.service.intake import BadRecord, Intake

#: The upper bounds of the latency histogram, in seconds.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass
class Counts:
    """Counters since the start. Hold ``lock`` to change one.

    Attributes:
        accepted: events that sources handed in, by kind of source.
        decided: events that were decided.
        bad: events that could not be decided, by kind of source.
        turned_away: requests and connections that were refused, by reason.
        dead_letters: messages that were written to the dead letters, by kind of source.
        steps: steps, by action and outcome.
        reloads: loads of policies after the first, by result: ``ok``, ``failed``, ``unchanged``.
        latency: deliveries by the time to their result: one count for each of ``BUCKETS``, and one beyond the last.
        seconds: the sum of these times.
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

    def count_events(self, source: str, good: int, bad: int) -> None:
        """Count the events of a delivery: decided ones and bad ones."""
        with self.lock:
            self.accepted[source] += good + bad
            self.decided += good
            if bad:
                self.bad[source] += bad

    def count_steps(self, steps: Iterable[tuple[str, str]]) -> None:
        """Count steps, each as its action and outcome."""
        with self.lock:
            self.steps.update(steps)

    def count_latency(self, seconds: float) -> None:
        """Count the time of a delivery, from its arrival to its result."""
        with self.lock:
            self.latency[bisect.bisect_left(BUCKETS, seconds)] += 1
            self.seconds += seconds

    def count_refusal(self, reason: str) -> None:
        """Count a request or a connection that was refused."""
        with self.lock:
            self.turned_away[reason] += 1

    def count_dead_letter(self, source: str) -> None:
        """Count a dead letter that was written."""
        with self.lock:
            self.dead_letters[source] += 1

    def count_load(self, result: str) -> None:
        """Count a load of policies."""
        with self.lock:
            self.reloads[result] += 1


@dataclass(frozen=True, slots=True)
class State:
    """The state of a service at one moment.

    Attributes:
        ready: whether events are accepted.
        journal: whether the journal can be read and written; True without a journal.
        waiting: about how many events wait to be decided.
        max_waiting: the most events that may wait.
        policies: the number of policies in force.
        digest: the digest of these policies.
        breakers: the open breakers, by name, and for how many seconds they have been open.
        owed: the number of flags that are not delivered yet, by sink.
        halted: why no agent action is taken, such as the kill switch; None: actions are taken.
    """

    ready: bool
    journal: bool
    waiting: int
    max_waiting: int
    policies: int
    digest: str
    breakers: Mapping[str, float] = field(default_factory=dict)
    owed: Mapping[str, int] = field(default_factory=dict)
    halted: str | None = None


@dataclass
class StateReader:
    """Reads the state of a service from its parts.

    Attributes:
        engine, guard, intake: these parts.
        owed: returns the number of flags that are not delivered yet, by sink, or raises ``JournalError``; None: there
            is no journal.
        ready: returns whether events are accepted; until it is set, they are not.
    """

    engine: Engine
    guard: Guard
    intake: Intake
    owed: Callable[[], Mapping[str, int]] | None = None
    ready: Callable[[], bool] = bool

    def state(self) -> State:
        """Return the state of this moment."""
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
            max_waiting=self.intake.max_events,
            policies=len(policies),
            digest=policies.digest,
            breakers=self.guard.open_breakers(),
            owed=owed,
            halted=self.guard.halted(),
        )


Level = Literal["info", "warning", "error"]


class ServiceObserver(Protocol):
    """Receives the reports of the service; the command line implements it.

    Called from several threads. An exception that it raises ends the service.
    """

    def say(self, level: Level, message: str) -> None:
        """Receive a message about the service itself."""

    def bad(self, source: str, bad: BadRecord) -> None:
        """Receive an event that could not be decided."""

    def outcome(self, source: str, line: int, outcome: StepOutcome) -> None:
        """Receive the outcome of a step. ``line`` is 0 for a flag that a guard raised and for a later outcome."""

    def flush(self) -> None:
        """Write everything out before returning."""
