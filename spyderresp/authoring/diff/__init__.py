"""What two policy sets would do differently, at the level of actions: over events, or for any event at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from spyderresp.authoring.diff.causes import Cause, Causes, Explained, Reason
from spyderresp.authoring.diff.changes import Change
from spyderresp.authoring.diff.tally import Sample, Tally
from spyderresp.decision import ActionPlan
from spyderresp.decision.engine import Engine
from spyderresp.errors import EventError, needs_extra

if TYPE_CHECKING:
    from spyderresp.decision.batch_result import ShapeMemo


# Two policy sets compared over recorded events.

#: How many sample events are explained at most: each is a look at every policy.
MOST_EXPLAINED: Final = 500


@dataclass(frozen=True)
class Shown:
    """A sample event with the reason why something flipped for it; None where it was not looked for."""

    sample: Sample
    reason: Reason | None


@dataclass(frozen=True)
class Finding:
    """Changes that say the same and have one cause.

    Attributes:
        change: one of them.
        cause: the entry that flipped.
        count: how many events have one.
        shown: the first of these events.
    """

    change: Change
    cause: Cause
    count: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Difference:
    """What is different over all events.

    Attributes:
        events: how many were compared.
        different: how many of them have a change.
        gained: changes of that kind, over all events; so ``lost`` and ``changed``.
        destructive: changes that are destructive.
        asked_by_others: events without a change whose actions other entries ask for.
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


def _held(event: Any) -> Any:
    return event


class Comparison:
    """Compares what two engines make of events, one after the other.

    Args:
        old: an engine of the old policies.
        new: an engine of the new ones.
        samples: how many events are shown of each group of changes.
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
            event: in the normal form.
            source: the file that it stands in.
            place: its line there, from 1.
            again: gives the event once more.

        Raises:
            EventError: it is malformed where one of the engines checks it; the message says which, if it is one only.
        """
        self._count(*self._decided(event), source, place, again)

    def add_line(self, data: bytes | None, source: str, place: int, again: Callable[[], Any]) -> None:
        """Compare one event in JSON, decoded no further than the policies look.

        Args:
            data: its text, where it is known to be in the normal form; None: it is taken as ``again`` gives it.
            source: the file that it stands in.
            place: its line there, from 1.
            again: gives the event.

        Raises:
            EventError: as of ``add``, and of ``again``.
        """
        if data is not None:
            try:
                plans = self._old.evaluate_json(data), self._new.evaluate_json(data)
            except EventError:
                pass  # the other way says what is wrong, and by which policies
            else:
                self._count(*plans, source, place, again)
                return
        self.add(again(), source, place, again)

    def add_batch(self, batch: Any, source: str, first: int, event: Callable[[int], Any]) -> None:
        """Compare a record batch's rows (extra: ``arrow``).

        Args:
            batch: its columns are those of ``Engine.evaluate_batch``.
            source: the file that it stands in.
            first: the place of its first row there, from 1.
            event: gives the event of a row, from 0.

        Raises:
            EventError: a row or column is malformed where one of the engines checks it; no row is counted then.
        """
        with needs_extra("arrow", "comparing Arrow batches"):
            from spyderresp.authoring.diff import columns
            from spyderresp.decision.batch_result import ShapeMemo
        self._shapes = self._shapes or (ShapeMemo(), ShapeMemo())
        results = self._old.evaluate_batch(batch), self._new.evaluate_batch(batch)
        old, new = (memo.shapes(result) for memo, result in zip(self._shapes, results, strict=True))
        pairs = columns.Pairs(*results)
        met = [(self._tally.pair(old[left], new[right]), count) for left, right, count in pairs.counts]
        lacking = [place for place, (pair, _) in enumerate(met) if pair.lacking]
        try:
            # All are read before anything is counted.
            samples = [
                (met[place][0], Sample(results[0][row].event, source, first + row, partial(_held, event(row))))
                for place, row in pairs.first_rows(lacking, self._samples)
            ]
        except UnicodeDecodeError:
            raise EventError("", "a text is not valid UTF-8") from None
        for pair, count in met:
            pair.count += count
        for pair, sample in samples:
            if pair.lacking:
                self._tally.show(pair, sample)

    def _count(self, old: ActionPlan, new: ActionPlan, source: str, place: int, again: Callable[[], Any]) -> None:
        pair = self._tally.pair(old.outcome, new.outcome)
        pair.count += 1
        if pair.lacking:
            self._tally.show(pair, Sample(old.event, source, place, again))

    def _decided(self, event: Any) -> tuple[Any, Any]:
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
        """Return what is different in the events so far."""
        pairs = list(self._tally.pairs())

        def total(wanted: Callable[[Change], bool]) -> int:
            return sum(pair.count * sum(wanted(change) for change, _ in pair.changes) for pair in pairs)

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
        order = {id(twins.new or twins.old): place for place, twins in enumerate(self._causes.counterparts.twins)}
        order |= {id(twins.old): place for place, twins in enumerate(self._causes.counterparts.twins) if twins.old}

        def place(cause: Cause) -> tuple[int, bool, int, str]:
            entry = cause.entry
            return order[id(cause.policy)], entry.section != "default", entry.index, cause.side

        for group in sorted(self._tally.groups(), key=lambda group: place(group.cause)):
            shown = []
            for sample in group.samples:
                where = sample.source, sample.place
                if where not in explained and len(explained) >= MOST_EXPLAINED:
                    shown.append(Shown(sample, None))
                    continue
                if where not in explained:
                    explained[where] = Explained(self._old, self._new, sample.event())
                shown.append(Shown(sample, self._causes.reason(group.change, group.cause, explained[where])))
            yield Finding(group.change, group.cause, group.count, tuple(shown))
