"""What policies would have done with recorded events: totals, targets, timelines, breakers. Nothing is carried out."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spyderresp.authoring.replay._distinct import Distinct
from spyderresp.authoring.replay._kills import Kills
from spyderresp.authoring.replay._moments import second_of
from spyderresp.authoring.replay._occurrences import Occurrences
from spyderresp.authoring.replay.histogram import MOST, WIDTHS
from spyderresp.authoring.replay.kills import POD, PROCESS, BreakerReplay, breakers
from spyderresp.decision import ActionPlan, ActionShape, PlanShape
from spyderresp.errors import needs_extra
from spyderresp.execution.guards.circuit_breakers import KILLS, Limits
from spyderresp.execution.steps import epoch_seconds
from spyderresp.policies.vocabulary import TARGET_SCOPE

if TYPE_CHECKING:
    from spyderresp.decision.batch_result import BatchResult


# What plans share, counted: each distinct outcome once, with what a report needs to know of it.

#: Outcomes that are known again as the same object; beyond it all are forgotten, and known by what they say.
_KNOWN: Final = 100_000
_LIVE: Final = ("execute", "audit")
#: A kill in force: its action, the policies that asked for it, whether it kills a pod, whether it is carried out.
Kill = tuple[str, tuple[str, ...], bool, bool]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What all events of one outcome share.

    Attributes:
        policies: those in scope.
        actions: those of their plans.
    """

    policies: tuple[str, ...]
    actions: tuple[ActionShape, ...]

    @property
    def kills(self) -> tuple[Kill, ...]:
        """Those of its actions that kill, executed or audited."""
        return tuple(_kill(action) for action in self.actions if action.name in KILLS and action.disposition in _LIVE)


class Outcomes:
    """The distinct outcomes that were met.

    Args:
        added: is told the kills of each outcome that is new, in order of their numbers.
    """

    def __init__(self, added: Callable[[tuple[Kill, ...]], None]) -> None:
        self.all: list[Outcome] = []
        self._added = added
        self._same: dict[Any, int] = {}
        self._known: dict[PlanShape, int] = {}

    def number(self, shape: PlanShape) -> int:
        """Return the number of an outcome, its place in ``all``."""
        number = self._known.get(shape)
        if number is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            number = self._known[shape] = self.number_of(shape.policies, shape.actions)
        return number

    def number_of(self, policies: tuple[str, ...], actions: tuple[ActionShape, ...]) -> int:
        """Return the number of the outcome that says so."""
        key = policies, actions
        number = self._same.get(key)
        if number is None:
            number = self._same[key] = len(self.all)
            self.all.append(Outcome(policies, actions))
            self._added(self.all[-1].kills)
        return number


def _kill(action: ActionShape) -> Kill:
    policies = tuple(dict.fromkeys(source.policy for source in action.sources))
    return action.name, policies, TARGET_SCOPE[action.name] == "pod", action.disposition == "execute"


# Totals over recorded events. Several replays can each read a part of a recording: ``part()`` returns a value that
# pickles, and ``add_part()`` adds it. The sum, added in the recording's order, equals one replay of the whole recording
# (tests/replaying/test_equal.py). The order decides two things only: the name and namespace shown for a target, and
# which of two kills at the same time reaches a breaker first.


@dataclass(frozen=True, slots=True)
class KillTarget:
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


@dataclass(frozen=True, slots=True)
class Part:
    """Totals of part of a recording, for another replay to add. Pickles; machines of one kind understand each other.

    Attributes:
        outcomes: policies and actions of each distinct outcome.
        timeless: how many events each has that have no time.
        width: seconds of a bucket.
        buckets: by the second at which each begins, how many events each outcome has.
        kills: kills and targets.
    """

    outcomes: tuple[tuple[tuple[str, ...], tuple[ActionShape, ...]], ...]
    timeless: tuple[int, ...]
    width: int
    buckets: dict[int, dict[int, int]]
    kills: tuple[Any, ...]


class Replay:
    """Gathers what plans come to. Memory grows with distinct outcomes, killed targets and kills, not with events.

    Args:
        limits: of the breakers; None: those of the default guard, without its warm-up.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(warm_up_seconds=0)
        self.kills = Kills(POD, PROCESS)
        self._outcomes = Outcomes(self.kills.outcome)
        self._met = Occurrences(WIDTHS, MOST)
        self._distinct = Distinct()

    @property
    def events(self) -> int:
        """How many there were."""
        return self._met.events

    @property
    def timeless(self) -> int:
        """How many of them have no time that can be read: they are in no timeline, and no breaker counts them."""
        return self._met.timeless

    @property
    def width(self) -> int:
        """Seconds of a bucket of the timeline."""
        return self._met.width

    def outcomes(self) -> Iterator[tuple[Outcome, int]]:
        """Yield the distinct outcomes, and how many events each has."""
        for number, outcome in enumerate(self._outcomes.all):
            yield outcome, self._met.total(number)

    def add(self, plan: ActionPlan) -> None:
        """Count one plan."""
        number = self._outcomes.number(plan.outcome)
        seconds = second_of(plan.time, epoch_seconds)
        self._met.add(number, seconds)
        if self.kills.has(number):
            self.kills.strike_plan(number, seconds, plan)

    def add_batch(self, result: BatchResult, batch: Any) -> None:
        """Count the plans of a record batch's rows (extra: ``arrow``).

        Raises:
            EventError: a row that kills says of its target what is no text; nothing is counted then.
        """
        with needs_extra("arrow", "replay of Arrow batches"):
            from spyderresp.authoring.replay import histogram
        numbers = self._distinct.numbers(result.decided, self._outcomes.number)
        histogram.count(result, batch, numbers, self._met, self.kills)

    def broken(self) -> BreakerReplay:
        """Return what breakers would have done."""
        return breakers(self.kills, self.limits)

    def buckets(self) -> Iterator[tuple[int, int, dict[tuple[str, str], int]]]:
        """Yield, in order, the second at which a bucket begins, its events, and its actions by name and disposition."""
        # Many outcomes differ only in who asks.
        known: dict[tuple[tuple[str, str], ...], int] = {}
        kinds = array("i")
        for outcome in self._outcomes.all:
            said = tuple(sorted((action.name, action.disposition) for action in outcome.actions))
            kinds.append(known.setdefault(said, len(known)))
        every = list(known)
        for start, held in self._met.buckets(kinds.tobytes()).items():
            counts: dict[tuple[str, str], int] = defaultdict(int)
            for kind, count in held.items():
                for action in every[kind]:
                    counts[action] += count
            yield start, sum(held.values()), dict(counts)

    def part(self) -> Part:
        """Return all that was gathered."""
        buckets = self._met.buckets()
        timeless = [self._met.total(number) for number in range(len(self._outcomes.all))]
        for held in buckets.values():
            for number, count in held.items():
                timeless[number] -= count
        outcomes = tuple((outcome.policies, outcome.actions) for outcome in self._outcomes.all)
        return Part(outcomes, tuple(timeless), self._met.width, buckets, self.kills.part())

    def add_part(self, part: Part) -> None:
        """Add what another replay gathered, of events that come after those that are counted here."""
        numbers = [self._outcomes.number_of(*said) for said in part.outcomes]
        self._met.widen(part.width)
        for number, count in zip(numbers, part.timeless, strict=True):
            if count:
                self._met.add(number, None, count)
        for start, held in part.buckets.items():
            for place, count in held.items():
                self._met.add(numbers[place], start, count)
        self.kills.add_part(part.kills)
