"""Totals of plans: outcomes, targets, timelines, breakers (extra: ``arrow``).

Nothing is carried out. Several replays can each read a part of a recording: ``part()`` returns a value that pickles,
and ``add_part()`` adds it. The sum, added in the recording's order, equals one replay of the whole recording
(tests/replaying/test_equal.py). The order decides two things only: the name and namespace shown for a target, and which
of two kills at the same time reaches a breaker first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from spyderresp.authoring.replay.histogram import Histogram
from spyderresp.authoring.replay.kills import Kill, Kills, rows_of_batch, rows_of_plans
from spyderresp.authoring.replay.report import BreakerReplay, Bucket, Deaths, Line, Report
from spyderresp.decision import ActionPlan, ActionShape, PlanShape
from spyderresp.decision.batch_result import BatchResult, ShapeMemo
from spyderresp.errors import EventError
from spyderresp.events.timestamps import epoch_seconds, epoch_seconds_of
from spyderresp.execution.guards.circuit_breakers import KILLS, Limits
from spyderresp.policies.vocabulary import TARGET_SCOPE

#: How many targets and namespaces are named: those with the most kills.
MOST_NAMED: Final = 20
_LIVE: Final = ("execute", "audit")
#: The most shapes that are recognised as the same object; beyond it, all are looked up by their content again.
_MOST_SHAPES: Final = 1_000_000
#: Plans that are counted together.
_TOGETHER: Final = 8_192


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
        """The kills among its actions, executed or audited."""
        return tuple(
            Kill(
                action.name,
                tuple(dict.fromkeys(source.policy for source in action.sources)),
                TARGET_SCOPE[action.name] == "pod",
                action.disposition == "execute",
            )
            for action in self.actions
            if action.name in KILLS and action.disposition in _LIVE
        )


@dataclass(frozen=True, slots=True)
class Part:
    """The totals of a part of a recording, for another replay to add. It pickles.

    Attributes:
        outcomes: policies and actions of each distinct outcome.
        counts: events by bucket and outcome.
        width: seconds of a bucket.
        kills: kills and targets.
    """

    outcomes: tuple[Outcome, ...]
    counts: pa.Table
    width: int
    kills: tuple[Any, ...]


class Replay:
    """Totals of plans. Memory grows with distinct outcomes, killed targets and kills, not with events.

    Args:
        limits: of the breakers; None: those of the default guard, without its warm-up.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(warm_up_seconds=0)
        self._events = 0
        self._outcomes: dict[Outcome, int] = {}
        self._numbers: dict[PlanShape, int] = {}
        self._shapes = ShapeMemo()
        self._histogram = Histogram()
        self._kills = Kills()
        self._waiting: list[ActionPlan] = []

    def add(self, plan: ActionPlan) -> None:
        """Count one plan."""
        self._waiting.append(plan)
        if len(self._waiting) >= _TOGETHER:
            self._count_waiting()

    def add_batch(self, result: BatchResult, batch: pa.RecordBatch) -> None:
        """Count the plans of a record batch's rows.

        Raises:
            EventError: a row that kills has a target that cannot be read; nothing of the batch is counted.
        """
        self._count_waiting()
        numbers = [self._number(shape) for shape in self._shapes.shapes(result)]
        outcomes = pa.array(numbers, pa.int32()).take(result.outcomes)
        places = batch.schema.get_all_field_indices("time")
        seconds = epoch_seconds_of(batch.column(places[0])) if places else pa.nulls(len(outcomes), pa.float64())
        if any(map(self._kills.kills_by, numbers)):
            try:
                self._kills.add(outcomes, seconds, rows_of_batch(batch, result))
            except ValueError as error:
                raise EventError("", f"a target cannot be read: {error}") from None
        self._histogram.add(outcomes, seconds)
        self._events += len(outcomes)

    def _number(self, shape: PlanShape) -> int:
        """Return the number of an outcome, its place in ``outcomes``."""
        number = self._numbers.get(shape)
        if number is None:
            if len(self._numbers) >= _MOST_SHAPES:
                self._numbers.clear()
            number = self._numbers[shape] = self._number_of(Outcome(shape.policies, shape.actions))
        return number

    def _number_of(self, outcome: Outcome) -> int:
        number = self._outcomes.get(outcome)
        if number is None:
            number = self._outcomes[outcome] = len(self._outcomes)
            self._kills.add_outcome(outcome.kills)
        return number

    def _count_waiting(self) -> None:
        plans, self._waiting = self._waiting, []
        if not plans:
            return
        numbers = [self._number(plan.outcome) for plan in plans]
        outcomes = pa.array(numbers, pa.int32())
        seconds = _seconds([plan.time for plan in plans])
        self._kills.add(outcomes, seconds, rows_of_plans(plans))
        self._histogram.add(outcomes, seconds)
        self._events += len(plans)

    @property
    def events(self) -> int:
        """How many events were counted."""
        return self._events + len(self._waiting)

    @property
    def kills(self) -> Kills:
        """The kills and their targets."""
        self._count_waiting()
        return self._kills

    @property
    def width(self) -> int:
        """Seconds of a bucket of the timeline."""
        self._counts()
        return self._histogram.width

    @property
    def timeless(self) -> int:
        """Events without a time that can be read. They are in no timeline, and no breaker counts their kills."""
        counts = self._counts()
        return pc.sum(counts["events"].filter(pc.is_null(counts["start"]))).as_py() or 0

    def _counts(self) -> pa.Table:
        self._count_waiting()
        return self._histogram.counts()

    def outcomes(self) -> Iterator[tuple[Outcome, int]]:
        """Yield the distinct outcomes, and how many events each has."""
        totals = self._counts().group_by("outcome").aggregate([("events", "sum")])
        events = dict(zip(totals["outcome"].to_pylist(), totals["events_sum"].to_pylist(), strict=True))
        for outcome, number in self._outcomes.items():
            yield outcome, events.get(number, 0)

    def broken(self) -> BreakerReplay:
        """Return what breakers would have done."""
        return self.kills.breakers(self.limits)

    def buckets(self) -> Iterator[tuple[int, int, dict[tuple[str, str], int]]]:
        """Yield, in order, the second at which a bucket begins, its events, and its actions by name and disposition."""
        counts = self._counts().drop_null()
        # Many outcomes differ only in the policies that ask.
        known: dict[tuple[tuple[str, str], ...], int] = {}
        kinds = [
            known.setdefault(tuple(sorted((action.name, action.disposition) for action in outcome.actions)), len(known))
            for outcome in self._outcomes
        ]
        kind = pa.array(kinds, pa.int32()).take(counts["outcome"].combine_chunks())
        table = counts.append_column("kind", kind).group_by(["start", "kind"]).aggregate([("events", "sum")])
        buckets: dict[int, dict[int, int]] = defaultdict(dict)
        for row in table.sort_by("start").to_pylist():
            buckets[row["start"]][row["kind"]] = row["events_sum"]
        every = list(known)
        for start, held in buckets.items():
            actions: dict[tuple[str, str], int] = defaultdict(int)
            for kind, count in held.items():
                for action in every[kind]:
                    actions[action] += count
            yield start, sum(held.values()), dict(actions)

    def part(self) -> Part:
        """Return everything that was counted."""
        counts = self._counts()
        return Part(tuple(self._outcomes), counts, self.width, self.kills.part())

    def add_part(self, part: Part) -> None:
        """Add what another replay counted, of events that come after those counted here."""
        self._count_waiting()
        numbers = pa.array([self._number_of(outcome) for outcome in part.outcomes], pa.int32())
        outcome = numbers.take(part.counts["outcome"].combine_chunks())
        self._histogram.add_counts(part.counts.set_column(1, "outcome", outcome), part.width)
        self._kills.add_part(part.kills)
        self._events += pc.sum(part.counts["events"]).as_py() or 0


def _seconds(times: Any) -> pa.Array:
    """Return the times of plans in epoch seconds."""
    if all(time is None or (isinstance(time, str) and time.isascii()) for time in times):
        return epoch_seconds_of(pa.array(times, pa.string()))
    return pa.array(map(epoch_seconds, times), pa.float64())


def report_of(replay: Replay, policy_set: str, *, bad: int) -> Report:
    """Return the report of a replay.

    Args:
        replay: the totals.
        policy_set: the digest of the policies.
        bad: how many events could not be decided.
    """
    actions: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    policies: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    entries: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    scoped: dict[str, int] = defaultdict(int)
    acted = 0
    for outcome, count in replay.outcomes():
        acted += count if outcome.actions else 0
        for name in dict.fromkeys(outcome.policies):
            scoped[name] += count
        for action in outcome.actions:
            actions[action.name][action.disposition] += count
            for name in dict.fromkeys(source.policy for source in action.sources):
                policies[name][action.disposition] += count
            for source in action.sources:
                key = source.policy, source.section, source.index, action.name, str(source.location)
                entries[key][action.disposition] += count
    names = ("policy", "section", "index", "action", "location")
    return Report(
        policy_set=policy_set,
        events=replay.events,
        bad=bad,
        timeless=replay.timeless,
        acted=acted,
        actions=tuple(_lines((({"action": name}, held) for name, held in actions.items()))),
        policies=tuple(_lines(({"policy": name, "in_scope": scoped[name]}, policies.get(name, {})) for name in scoped)),
        entries=tuple(_lines((dict(zip(names, key, strict=True)), held) for key, held in entries.items())),
        pods=Deaths(*replay.kills.deaths(pod=True)),
        processes=Deaths(*replay.kills.deaths(pod=False)),
        unknown=replay.kills.unknown,
        targets=tuple(replay.kills.most_killed(MOST_NAMED)),
        namespaces=tuple(replay.kills.namespaces()[:MOST_NAMED]),
        broken=replay.broken(),
        width=replay.width,
        buckets=tuple(Bucket(*bucket) for bucket in replay.buckets()),
    )


def _lines(items: Any) -> list[Line]:
    lines = [Line(what, dict(sorted(held.items()))) for what, held in items]
    return sorted(lines, key=lambda line: (-line.total, str(line.what)))
