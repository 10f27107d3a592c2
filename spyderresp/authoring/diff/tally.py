"""Counts events by the pair of their old and new plan. Each distinct pair of plans is compared once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from spyderresp.authoring.diff.causes import Cause, Causes
from spyderresp.authoring.diff.changes import Change, asked_by_others, compare
from spyderresp.decision import PlanShape

# The most pairs of plans that are found by object identity; beyond that, they are compared by content again.
_MAX_KNOWN: Final = 100_000


@dataclass(frozen=True, slots=True)
class Sample:
    """An example of an event.

    Attributes:
        id: the event's ``id``; None: it has none.
        source: its file.
        place: its line or row in the file, from 1.
        event: returns the event, in the normal form.
    """

    id: Any
    source: str
    place: int
    event: Callable[[], Any] = field(compare=False, repr=False)


@dataclass(slots=True)
class Group:
    """Equal changes with the same cause.

    Attributes:
        change: one of the changes.
        cause: the entry behind them.
        count: the number of events with such a change.
        samples: the first of these events.
    """

    change: Change
    cause: Cause
    count: int = 0
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class PlanPair:
    """The events with one pair of plans.

    Attributes:
        changes: the changes between the plans, each with its group.
        asked_by_others: whether the plans differ only in the entries behind their actions.
        incomplete: the groups that need more samples.
        count: the number of events.
    """

    changes: tuple[tuple[Change, Group], ...]
    asked_by_others: bool
    incomplete: list[Group]
    count: int = 0


class Tally:
    """Counts pairs of plans.

    Args:
        causes: finds the cause of a change.
        samples: the most samples to keep for each group.
    """

    def __init__(self, causes: Causes, samples: int) -> None:
        self._causes = causes
        self._max_samples = samples
        self._pairs: dict[tuple[PlanShape, PlanShape], PlanPair] = {}
        self._groups: dict[Any, Group] = {}
        self._by_content: dict[Any, PlanShape] = {}
        # These two find shapes and pairs by object identity, which is faster than by content.
        self._known_shapes: dict[PlanShape, PlanShape] = {}
        self._known_pairs: dict[tuple[PlanShape, PlanShape], PlanPair] = {}

    def pair(self, old: PlanShape, new: PlanShape) -> PlanPair:
        """Return the pair of two plans."""
        pair = self._known_pairs.get((old, new))
        if pair is None:
            if len(self._known_pairs) >= _MAX_KNOWN:
                self._known_pairs.clear()
                self._known_shapes.clear()
            key = self._representative(old), self._representative(new)
            pair = self._pairs.get(key)
            if pair is None:
                pair = self._pairs[key] = self._compared(old, new)
            self._known_pairs[old, new] = pair
        return pair

    def _representative(self, shape: PlanShape) -> PlanShape:
        """Return the same object for all shapes with equal content."""
        known = self._known_shapes.get(shape)
        if known is None:
            known = self._by_content.setdefault((shape.policies, shape.actions), shape)
            self._known_shapes[shape] = known
        return known

    def _compared(self, old: PlanShape, new: PlanShape) -> PlanPair:
        changes = [(change, self._group(change)) for change in compare(old.actions, new.actions)]
        groups = list({id(group): group for _, group in changes}.values()) if self._max_samples else []
        incomplete = [group for group in groups if len(group.samples) < self._max_samples]
        return PlanPair(tuple(changes), not changes and asked_by_others(old.actions, new.actions), incomplete)

    def _group(self, change: Change) -> Group:
        cause = self._causes.of(change)
        return self._groups.setdefault((change.key, cause.key), Group(change, cause))

    def add_sample(self, pair: PlanPair, sample: Sample) -> None:
        """Add an event of a pair to the groups that need more samples."""
        for group in pair.incomplete:
            if len(group.samples) < self._max_samples:
                group.samples.append(sample)
        pair.incomplete = [group for group in pair.incomplete if len(group.samples) < self._max_samples]

    def pairs(self) -> Iterator[PlanPair]:
        """Yield all pairs so far."""
        yield from self._pairs.values()

    def groups(self) -> list[Group]:
        """Return the groups of all pairs, with their counts, in the order of their first events."""
        for group in self._groups.values():
            group.count = 0
        for pair in self._pairs.values():
            for _, group in pair.changes:
                group.count += pair.count
        return [group for group in self._groups.values() if group.count]
