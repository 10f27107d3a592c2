"""Compares the actions that two policy sets plan: for recorded events, or for all possible events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spyderresp.authoring.diff.causes import Cause, Causes, Explained, Reason
from spyderresp.authoring.diff.changes import Change
from spyderresp.authoring.diff.tally import Sample, Tally
from spyderresp.decision import ActionPlan
from spyderresp.decision.engine import Engine
from spyderresp.errors import EventError, needs_extra

if TYPE_CHECKING:
    from spyderresp.decision.batch_result import ShapeMemo

#: The most sample events that are explained; each explanation checks every policy.
MAX_EXPLAINED: Final = 500


@dataclass(frozen=True)
class Shown:
    """A sample event with the reason of a change; ``reason`` is None if too many others were explained."""

    sample: Sample
    reason: Reason | None


@dataclass(frozen=True)
class Finding:
    """Equal changes with the same cause.

    Attributes:
        change: one of the changes.
        cause: the entry behind them.
        count: the number of events with such a change.
        shown: the first of these events.
    """

    change: Change
    cause: Cause
    count: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Difference:
    """The differences over all events.

    Attributes:
        events: the number of events that were compared.
        different: the number of events with a change.
        gained: the number of gained actions, over all events.
        lost: the number of lost actions.
        changed: the number of actions with another disposition.
        destructive: the number of changes that are destructive.
        asked_by_others: the number of events without a change for which other entries plan the actions.
        findings: the changes, policy by policy.
    """

    events: int
    different: int
    gained: int
    lost: int
    changed: int
    destructive: int
    asked_by_others: int
    findings: tuple[Finding, ...]


class Comparison:
    """Compares the plans of two engines, event by event.

    Args:
        old: an engine with the old policies.
        new: an engine with the new policies.
        samples: the most events to show for each finding.
    """

    def __init__(self, old: Engine, new: Engine, *, samples: int = 3) -> None:
        self._old, self._new = old, new
        self._causes = Causes(old, new)
        self._tally = Tally(self._causes, samples)
        self._samples = samples
        self._shapes: tuple[ShapeMemo, ShapeMemo] | None = None

    def add(self, event: Any, source: str, place: int, again: Callable[[], Any]) -> None:
        """Compare one event.

        Args:
            event: the event, in the normal form.
            source: its file.
            place: its line in the file, from 1.
            again: returns the event again.

        Raises:
            EventError: an engine rejects the event. If only one does, the message names it.
        """
        self._count(*self._plans(event), source, place, again)

    def add_line(self, data: bytes | None, source: str, place: int, again: Callable[[], Any]) -> None:
        """Compare one event in JSON, of which only the keys that policies name are decoded.

        Args:
            data: its text, if it is surely in the normal form; None: ``again`` returns the event.
            source: its file.
            place: its line in the file, from 1.
            again: returns the event.

        Raises:
            EventError: as in ``add``, or raised by ``again``.
        """
        if data is not None:
            try:
                plans = self._old.evaluate_json(data), self._new.evaluate_json(data)
            except EventError:
                pass  # decode it as a whole below, for the full error message
            else:
                self._count(*plans, source, place, again)
                return
        self.add(again(), source, place, again)

    def add_batch(self, batch: Any, source: str, first: int, event: Callable[[int], Any]) -> None:
        """Compare the rows of a record batch. Extra ``arrow``.

        Args:
            batch: the batch, with columns as for ``Engine.evaluate_batch``.
            source: its file.
            first: the number of its first row in the file, from 1.
            event: returns the event of a row of the batch; rows count from 0.

        Raises:
            EventError: an engine rejects a row or a column; no row was counted.
        """
        with needs_extra("arrow", "comparing Arrow batches"):
            from spyderresp.authoring.diff import columns
            from spyderresp.decision.batch_result import ShapeMemo
        self._shapes = self._shapes or (ShapeMemo(), ShapeMemo())
        results = self._old.evaluate_batch(batch), self._new.evaluate_batch(batch)
        old, new = (memo.shapes(result) for memo, result in zip(self._shapes, results, strict=True))
        pairs = columns.Pairs(*results)
        counted = [(self._tally.pair(old[left], new[right]), count) for left, right, count in pairs.counts]
        incomplete = [index for index, (pair, _) in enumerate(counted) if pair.incomplete]
        try:
            # Read all samples before counting, because reading may fail.
            samples = [
                (counted[index][0], _sample(results[0][row].event, source, first + row, event(row)))
                for index, row in pairs.first_rows(incomplete, self._samples)
            ]
        except UnicodeDecodeError:
            raise EventError("", "a text is not valid UTF-8") from None
        for pair, count in counted:
            pair.count += count
        for pair, sample in samples:
            if pair.incomplete:
                self._tally.add_sample(pair, sample)

    def _count(self, old: ActionPlan, new: ActionPlan, source: str, place: int, again: Callable[[], Any]) -> None:
        pair = self._tally.pair(old.outcome, new.outcome)
        pair.count += 1
        if pair.incomplete:
            self._tally.add_sample(pair, Sample(old.event, source, place, again))

    def _plans(self, event: Any) -> tuple[Any, Any]:
        try:
            old = self._old.evaluate(event)
        except EventError as error:
            try:
                self._new.evaluate(event)
            except EventError:
                raise error from None
            raise EventError(error.path, f"{error.reason}, by the old policies only") from None
        try:
            return old, self._new.evaluate(event)
        except EventError as error:
            raise EventError(error.path, f"{error.reason}, by the new policies only") from None

    def result(self) -> Difference:
        """Return the differences over all events so far."""
        pairs = list(self._tally.pairs())

        def total(counts: Callable[[Change], bool]) -> int:
            return sum(pair.count * sum(counts(change) for change, _ in pair.changes) for pair in pairs)

        return Difference(
            events=sum(pair.count for pair in pairs),
            different=sum(pair.count for pair in pairs if pair.changes),
            gained=total(lambda change: change.kind == "gained"),
            lost=total(lambda change: change.kind == "lost"),
            changed=total(lambda change: change.kind == "changed"),
            destructive=total(lambda change: change.destructive),
            asked_by_others=sum(pair.count for pair in pairs if pair.asked_by_others),
            findings=tuple(self._findings()),
        )

    def _findings(self) -> Iterator[Finding]:
        explained: dict[tuple[str, int], Explained] = {}
        # The position of each policy in the report, by the ``id`` of the policy in either set.
        order: dict[int, int] = {}
        for index, pair in enumerate(self._causes.counterparts.pairs):
            order |= {id(policy): index for policy in (pair.old, pair.new) if policy is not None}

        def position(cause: Cause) -> tuple[int, bool, int, str]:
            entry = cause.entry
            return order[id(cause.policy)], entry.section != "default", entry.index, cause.side

        for group in sorted(self._tally.groups(), key=lambda group: position(group.cause)):
            shown = []
            for sample in group.samples:
                where = sample.source, sample.place
                if where not in explained and len(explained) >= MAX_EXPLAINED:
                    shown.append(Shown(sample, None))
                    continue
                if where not in explained:
                    explained[where] = Explained(self._old, self._new, sample.event())
                shown.append(Shown(sample, self._causes.reason(group.change, group.cause, explained[where])))
            yield Finding(group.change, group.cause, group.count, tuple(shown))


def _sample(identifier: Any, source: str, place: int, event: Any) -> Sample:
    return Sample(identifier, source, place, lambda: event)
