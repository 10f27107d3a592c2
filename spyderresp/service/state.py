"""How a service is at a moment: what health and metrics tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from spyderresp.engine import Engine
from spyderresp.guards import Guard
from spyderresp.journal.base import JournalError
from spyderresp.service.intake import Intake


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
