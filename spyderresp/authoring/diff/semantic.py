"""Two policy sets compared without events: which entries fire for other events now, each with an event that shows it.

Exact where it answers (spyderresp/analysis); every event is put to both engines before it is shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from spyderresp.authoring.analysis import MAX_CANDIDATES, AnswerBuffer
from spyderresp.authoring.analysis.automata import UndecidedError
from spyderresp.authoring.analysis.regions import EntryLocation, EventRegion, places
from spyderresp.authoring.diff.changes import KILLS, Change, Counterparts, compare, meaning
from spyderresp.decision.engine import Engine
from spyderresp.errors import Location
from spyderresp.policies.policy_set import Entry, Policy
from spyderresp.policies.vocabulary import FLAGS

_REACH: Final = {"audit": 1, "execute": 2}


@dataclass(frozen=True)
class DecisionPath:
    """Events for which an entry asks for something that nothing of the other set asks for.

    Attributes:
        side: ``new``: it is asked for now; ``old``: it was, and is no more, or with less force.
        event: one of them; None where it was not decided whether there is one.
        changes: what both engines do differently with it.
        note: what could not be decided, for people; None where all was.
    """

    side: Literal["old", "new"]
    event: dict[str, Any] | None
    changes: tuple[Change, ...]
    note: str | None = None


@dataclass(frozen=True)
class ChangedDecision:
    """An entry that does not fire as it did.

    Attributes:
        kind: whether it is in one set only, counting what is disabled as not there.
        policy: its policy, the new one where there is one.
        entry: the entry, likewise.
        old: where it stood.
        new: where it stands.
        ways: what differs.
    """

    kind: Literal["added", "removed", "changed"]
    policy: Policy
    entry: Entry
    old: Location | None
    new: Location | None
    ways: tuple[DecisionPath, ...]

    @property
    def destructive(self) -> bool:
        """Whether an event shows a destructive change, or a kill may be one and that is not decided."""
        return any(change.destructive for way in self.ways for change in way.changes) or any(
            way.side == "new" and way.note and self.entry.action in KILLS for way in self.ways
        )


@dataclass(frozen=True)
class SemanticDiff:
    """What is different for any event.

    Attributes:
        flipped: entries that do not fire as they did, policy by policy.
        rewritten: how many others were added, removed or changed, and no event is decided differently by that.
        unchanged: how many say what they said.
    """

    flipped: tuple[ChangedDecision, ...]
    rewritten: int
    unchanged: int


class _Set:
    """The entries of one set, found by what they ask for."""

    def __init__(self, engine: Engine, options: Options) -> None:
        self._audit = options.mode == "audit"
        self._apart = options.defaults == "unless-overridden"
        self.places: dict[tuple[int, str, int], EntryLocation] = {}
        self._shelves: dict[Any, AnswerBuffer] = defaultdict(AnswerBuffer)
        self._attributed: dict[Any, list[EntryLocation]] = defaultdict(list)
        for place in places(engine.policies, not_in_takes_absent=options.not_in == "kubernetes"):
            self.places[id(place.policy), place.entry.section, place.entry.index] = place
            self._shelves[self._pile(place)].places.append(place)
            self._attributed[self._pile(place), _attribution(place)].append(place)
        for shelf in self._shelves.values():
            shelf.sort()

    def reach(self, place: EntryLocation) -> int:
        """Return how far what a place asks for goes."""
        return 1 if self._audit else _REACH[place.live]

    def beside(self, place: EntryLocation, policy: Policy | None) -> list[EntryLocation]:
        """Return the places that ask for the same as one of the other set, for some of its events."""
        shelf = self._shelves.get(self._pile(place))
        found = [] if shelf is None else list(shelf.meeting(place.box))
        return self._counting(found, place, policy)

    def attributed(self, place: EntryLocation, policy: Policy | None) -> list[EntryLocation]:
        """Return the same of events that are attributed to its policy."""
        return self._counting(self._attributed.get((self._pile(place), _attribution(place)), []), place, policy)

    def _pile(self, place: EntryLocation) -> tuple[Any, ...]:
        """Return what entries must share for one to stand for the other."""
        return place.entry.action, place.entry.parameters, place.entry.section if self._apart else None

    def _counting(self, found: list[EntryLocation], place: EntryLocation, policy: Policy | None) -> list[EntryLocation]:
        # Flags merge within one policy only, and an entry sets its own policy's defaults aside only: there another
        # policy's does not stand for this one.
        if self._apart or place.entry.action in FLAGS:
            return [other for other in found if other.policy is policy]
        return found


def _attribution(place: EntryLocation) -> tuple[Any, ...]:
    return tuple(place.attribution().items())


@dataclass(frozen=True)
class Options:
    """The options of both engines, under their names."""

    defaults: str = "always"
    not_in: str = "kubernetes"
    mode: str | None = None


def compare_meanings(old: Engine, new: Engine, options: Options | None = None) -> SemanticDiff:
    """Return what two policy sets decide differently, whatever the event.

    Args:
        old: an engine of the old policies.
        new: an engine of the new ones, with the same options.
        options: those options.
    """
    return _Comparison(old, new, options or Options()).result()


class _Comparison:
    def __init__(self, old: Engine, new: Engine, options: Options) -> None:
        self._engines = old, new
        self._old, self._new = (_Set(engine, options) for engine in self._engines)
        self._counterparts = Counterparts(old.policies, new.policies)

    def result(self) -> SemanticDiff:
        flipped = []
        rewritten = unchanged = 0
        for twins in self._counterparts.twins:
            for pair in twins.entries:
                before, after = self._place(self._old, twins.old, pair[0]), self._place(self._new, twins.new, pair[1])
                if before is None and after is None:
                    continue
                if before is not None and after is not None and _says(before) == _says(after):
                    unchanged += 1
                    continue
                ways = tuple(self._ways(before, after, twins.old, twins.new))
                if not ways:
                    rewritten += 1
                    continue
                shown = after or before
                assert shown is not None
                kind: Literal["added", "removed", "changed"]
                kind = "added" if before is None else "removed" if after is None else "changed"
                stood = None if before is None else before.location
                stands = None if after is None else after.location
                flipped.append(ChangedDecision(kind, shown.policy, shown.entry, stood, stands, ways))
        return SemanticDiff(tuple(flipped), rewritten, unchanged)

    @staticmethod
    def _place(held: _Set, policy: Policy | None, entry: Entry | None) -> EntryLocation | None:
        return None if policy is None or entry is None else held.places.get((id(policy), entry.section, entry.index))

    def _ways(
        self, before: EntryLocation | None, after: EntryLocation | None, old: Policy | None, new: Policy | None
    ) -> Iterator[DecisionPath]:
        if after is not None:
            yield from self._way("new", after, self._new, self._old, old)
        if before is not None:
            yield from self._way("old", before, self._old, self._new, new)

    def _way(
        self, side: Literal["old", "new"], place: EntryLocation, mine: _Set, theirs: _Set, twin: Policy | None
    ) -> Iterator[DecisionPath]:
        """Yield the events for which a place asks for what nothing of the other set asks for with as much force."""
        try:
            for box, others, attribution in (
                (place.box, theirs.beside(place, twin), {}),
                (place.attributed, theirs.attributed(place, twin), place.attribution()),
            ):
                strong = [
                    (other.attributed if attribution else other.box)
                    for other in others
                    if theirs.reach(other) >= mine.reach(place)
                ]
                left = _outside(box, strong)
                if left is not None:
                    event = {**attribution, **left.example(place.needs)}
                    changes = compare(*(engine.evaluate(event) for engine in self._engines))
                    note = None if changes else "another action hides it there, and no other event was tried"
                    yield DecisionPath(side, event, changes, note)
                    return
        except UndecidedError as error:
            yield DecisionPath(side, None, (), f"not decided whether there are such events: {error}")


def _outside(box: EventRegion, others: list[EventRegion]) -> EventRegion | None:
    """Return a box of events that none of the others holds; None where there are none."""
    if box.empty:
        return None
    if len(others) > MAX_CANDIDATES:
        raise UndecidedError(f"{len(others):,} entries to hold it against")
    return box.within([other for other in others if not (other & box).empty])


def _says(place: EntryLocation) -> tuple[Any, ...]:
    """Return all that makes a place fire and what it then asks for."""
    policy, entry = place.policy, place.entry
    return (
        policy.uid,
        policy.name,
        policy.mode,
        meaning(policy.selectors),
        entry.section,
        entry.action,
        entry.parameters,
        meaning(entry.selectors),
    )
