"""Counts of events by what two policy sets make of them: distinct pairs of outcomes are compared, never row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from spyderresp.authoring.diff.causes import Cause, Causes
from spyderresp.authoring.diff.changes import Change, asked_by_others, compare
from spyderresp.decision import PlanShape

#: Outcomes that are known again as the same object; beyond it all are forgotten, and known by what they say.
_KNOWN: Final = 100_000


@dataclass(frozen=True, slots=True)
class Sample:
    """An event that shows something.

    Attributes:
        id: the event's ``id``; None where it has none.
        source: the file that it stands in.
        place: its line there, or its row, from 1.
        event: gives the event itself, in the normal form.
    """

    id: Any
    source: str
    place: int
    event: Callable[[], Any] = field(compare=False, repr=False)


@dataclass(slots=True)
class Group:
    """All changes that say the same and have one cause.

    Attributes:
        change: one of them.
        cause: the entry that flipped.
        count: how many events have such a change.
        samples: the first of them.
    """

    change: Change
    cause: Cause
    count: int = 0
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class EntryPair:
    """All events of one old and one new outcome.

    Attributes:
        changes: what is different, each in its group.
        asked_by_others: whether nothing is different but who asks.
        lacking: groups that have not yet as many samples as are wanted.
        count: how many events.
    """

    changes: tuple[tuple[Change, Group], ...]
    asked_by_others: bool
    lacking: list[Group]
    count: int = 0


class Tally:
    """Counts pairs of outcomes.

    Args:
        causes: finds what flipped.
        samples: how many events of each group are kept to be shown.
    """

    def __init__(self, causes: Causes, samples: int) -> None:
        self._causes = causes
        self._most = samples
        self._pairs: dict[tuple[PlanShape, PlanShape], EntryPair] = {}
        self._groups: dict[Any, Group] = {}
        self._same: dict[Any, PlanShape] = {}
        self._known: dict[PlanShape, PlanShape] = {}
        self._seen: dict[tuple[PlanShape, PlanShape], EntryPair] = {}

    def pair(self, old: PlanShape, new: PlanShape) -> EntryPair:
        """Return the pair of two outcomes."""
        pair = self._seen.get((old, new))
        if pair is None:
            if len(self._seen) >= _KNOWN:
                self._seen.clear()
                self._known.clear()
            key = self._one(old), self._one(new)
            pair = self._pairs.get(key)
            if pair is None:
                pair = self._pairs[key] = self._compared(old, new)
            self._seen[old, new] = pair
        return pair

    def _one(self, outcome: PlanShape) -> PlanShape:
        """Return the one outcome that stands for all that say the same."""
        one = self._known.get(outcome)
        if one is None:
            one = self._known[outcome] = self._same.setdefault((outcome.policies, outcome.actions), outcome)
        return one

    def _compared(self, old: PlanShape, new: PlanShape) -> EntryPair:
        changes = [(change, self._group(change)) for change in compare(old.actions, new.actions)]
        groups = list({id(group): group for _, group in changes}.values()) if self._most else []
        lacking = [group for group in groups if len(group.samples) < self._most]
        return EntryPair(tuple(changes), not changes and asked_by_others(old.actions, new.actions), lacking)

    def _group(self, change: Change) -> Group:
        cause = self._causes.of(change)
        return self._groups.setdefault((change.said, cause.key), Group(change, cause))

    def show(self, pair: EntryPair, sample: Sample) -> None:
        """Keep an event of a pair for the groups that lack samples."""
        for group in pair.lacking:
            if len(group.samples) < self._most:
                group.samples.append(sample)
        pair.lacking = [group for group in pair.lacking if len(group.samples) < self._most]

    def pairs(self) -> Iterator[EntryPair]:
        """Yield every pair that was met."""
        yield from self._pairs.values()

    def groups(self) -> list[Group]:
        """Return the groups of all pairs, counted, in the order in which they were met."""
        for group in self._groups.values():
            group.count = 0
        for pair in self._pairs.values():
            for _, group in pair.changes:
                group.count += pair.count
        return [group for group in self._groups.values() if group.count]
