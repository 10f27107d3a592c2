"""Totals over recorded events, gathered one plan or one batch at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spyderresp._native.plan import ActionPlan
from spyderresp.extras import needed
from spyderresp.guards.breakers import Limits
from spyderresp.replaying.breaking import Attempt, Broken, breakers
from spyderresp.replaying.identity import of_pod, of_process
from spyderresp.replaying.outcomes import Outcome, Outcomes
from spyderresp.replaying.timeline import Timeline
from spyderresp.steps import epoch_seconds

if TYPE_CHECKING:
    from spyderresp.arrow import BatchResult


@dataclass(slots=True)
class Struck:
    """One pod or process that is killed.

    Attributes:
        pod: whether it is a pod.
        name: for people.
        namespace: its namespace; None without one.
        executed: how often a kill of it is carried out.
        audited: how often one is audited.
    """

    pod: bool
    name: str
    namespace: str | None
    executed: int = 0
    audited: int = 0


class Replay:
    """Gathers what plans come to. Memory grows with distinct outcomes, killed targets and kills, not with events.

    Args:
        limits: of the breakers; None: those of the default guard, without its warm-up.

    Attributes:
        events: how many there were.
        timeless: how many of them have no time that can be read: they are in no timeline, and no breaker counts them.
        unknown: kills, executed or audited, of a target that nothing tells from others.
        outcomes: the distinct outcomes.
        timeline: numbers of outcomes over time.
        struck: pods and processes, by what tells them apart.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.events = 0
        self.timeless = 0
        self.unknown = 0
        self.timeline = Timeline()
        self.struck: dict[tuple[bool, str], Struck] = {}
        self.limits = limits or Limits(warm_up_seconds=0)
        self._outcomes = Outcomes()
        self._attempts: list[Attempt] = []

    @property
    def outcomes(self) -> list[Outcome]:
        """The distinct outcomes that were met."""
        return self._outcomes.all

    def add(self, plan: ActionPlan) -> None:
        """Count one plan."""
        self.events += 1
        number = self._outcomes.number(plan.outcome)
        outcome = self._outcomes.all[number]
        outcome.count += 1
        seconds = epoch_seconds(plan.time)
        if seconds is None:
            self.timeless += 1
        else:
            self.timeline.add(seconds, number)
        if outcome.kills:
            self._strike(outcome, seconds, plan.target)

    def add_batch(self, result: BatchResult, batch: Any) -> None:
        """Count the plans of a record batch's rows (extra: ``arrow``)."""
        columns = needed("spyderresp.replaying.columns", "arrow", "replay of Arrow batches")
        numbers = [self._outcomes.number(shape) for shape in result.shapes]
        kills = [bool(self._outcomes.all[number].kills) for number in numbers]
        counts, timed, killing = columns.gathered(result, batch, kills, self.timeline.width)
        self.events += len(result)
        self.timeless += len(result)
        for place, count in counts:
            self._outcomes.all[numbers[place]].count += count
        for place, second, count in timed:
            self.timeless -= count
            self.timeline.add(second, numbers[place], count)
        for row in killing:
            plan = result[row]
            outcome = self._outcomes.all[self._outcomes.number(plan.outcome)]
            self._strike(outcome, columns.seconds_of(batch, row, plan.time), plan.target)

    def _strike(self, outcome: Outcome, seconds: float | None, target: Any) -> None:
        namespace = target["namespace.name"]
        namespace = None if namespace is None else str(namespace)
        for kill in outcome.kills:
            key = (of_pod if kill.pod else of_process)(target)
            if key:
                struck = self.struck.get((kill.pod, key))
                if struck is None:
                    said = target["pod.name" if kill.pod else "process.name"]
                    name = key if said is None else str(said)
                    struck = self.struck[kill.pod, key] = Struck(kill.pod, name, namespace)
                struck.executed += kill.executed
                struck.audited += not kill.executed
            else:
                self.unknown += 1
            if kill.executed and seconds is not None:
                self._attempts.append(Attempt(seconds, kill.action, kill.policies, key, namespace))

    def broken(self) -> Broken:
        """Return what breakers would have done."""
        return breakers(self._attempts, self.limits)

    def buckets(self) -> Iterator[tuple[int, int, dict[tuple[str, str], int]]]:
        """Yield, in order, the second at which a bucket begins, its events, and its actions by name and disposition."""
        for start in sorted(self.timeline.buckets):
            counts: dict[tuple[str, str], int] = defaultdict(int)
            held = self.timeline.buckets[start]
            for number, count in held.items():
                for action in self._outcomes.all[number].actions:
                    counts[action.name, action.disposition] += count
            yield start, sum(held.values()), dict(counts)
