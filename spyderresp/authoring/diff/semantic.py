"""Compares two policy sets for all possible events: which entries now fire for different events, each with an example.

Every answer is exact (``authoring/analysis``). Both engines decide each example before it is reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from spyderresp.authoring.analysis import MAX_CANDIDATES, EntryIndex
from spyderresp.authoring.analysis.automata import UndecidedError
from spyderresp.authoring.analysis.regions import EntryRegions, EventRegion, entries_of
from spyderresp.authoring.diff.changes import KILLS, Change, Counterparts, compare, meaning
from spyderresp.decision.engine import Engine
from spyderresp.errors import Location
from spyderresp.policies.policy_set import Entry, Policy
from spyderresp.policies.vocabulary import FLAGS

_AUDITED: Final = 1
_EXECUTED: Final = 2


@dataclass(frozen=True)
class EntryDifference:
    """Events for which an entry plans an action, and no entry of the other set plans it with the same force.

    Attributes:
        side: the set of the entry. ``new``: the action is planned now, or executed now; ``old``: it was before.
        event: an example; None: it was not decided whether there is such an event.
        changes: how the plans of both engines for the example differ.
        note: what could not be decided, for people; None: everything was.
    """

    side: Literal["old", "new"]
    event: dict[str, Any] | None
    changes: tuple[Change, ...]
    note: str | None = None


@dataclass(frozen=True)
class ChangedEntry:
    """An entry that fires for different events now.

    Attributes:
        kind: whether the entry is only in the new set, only in the old set, or in both. A disabled entry counts as
            absent.
        policy: its policy; if the policy is in both sets, the new one.
        entry: the entry; if it is in both sets, the new one.
        old: its location in the old set.
        new: its location in the new set.
        differences: what differs.
    """

    kind: Literal["added", "removed", "changed"]
    policy: Policy
    entry: Entry
    old: Location | None
    new: Location | None
    differences: tuple[EntryDifference, ...]

    @property
    def destructive(self) -> bool:
        """Whether an example shows a destructive change, or it is not decided whether the entry kills more."""
        return any(change.destructive for difference in self.differences for change in difference.changes) or any(
            difference.side == "new" and difference.note and self.entry.action in KILLS
            for difference in self.differences
        )


@dataclass(frozen=True)
class SemanticDiff:
    """The differences between two policy sets, for all possible events.

    Attributes:
        changed: the entries that fire for different events now, policy by policy.
        rewritten: the number of other entries that were added, removed or changed without an effect on any event.
        unchanged: the number of entries that were not changed.
    """

    changed: tuple[ChangedEntry, ...]
    rewritten: int
    unchanged: int


class _Entries:
    """The entries of one set, indexed by the actions that they plan."""

    def __init__(self, engine: Engine, options: Options) -> None:
        self._audit = options.mode == "audit"
        self._by_section = options.defaults == "unless-overridden"
        self.by_place: dict[tuple[int, str, int], EntryRegions] = {}
        self._indexes: dict[Any, EntryIndex] = defaultdict(EntryIndex)
        self._attributed: dict[Any, list[EntryRegions]] = defaultdict(list)
        for entry in entries_of(engine.policies, not_in_takes_absent=options.not_in == "kubernetes"):
            self.by_place[id(entry.policy), entry.entry.section, entry.entry.index] = entry
            self._indexes[self._planned(entry)].entries.append(entry)
            self._attributed[self._planned(entry), _attribution(entry)].append(entry)
        for index in self._indexes.values():
            index.build()

    def force(self, entry: EntryRegions) -> int:
        """Return whether the action of an entry is executed or only audited, as a number to compare."""
        return _EXECUTED if entry.enforced and not self._audit else _AUDITED

    def replacing(self, entry: EntryRegions, policy: Policy | None) -> list[EntryRegions]:
        """Return the entries that may plan the same action as an entry of the other set, for some of its events.

        Args:
            entry: an entry of the other set.
            policy: the policy of this set that corresponds to the entry's policy.
        """
        index = self._indexes.get(self._planned(entry))
        return self._eligible([] if index is None else list(index.meeting(entry.region)), entry, policy)

    def replacing_attributed(self, entry: EntryRegions, policy: Policy | None) -> list[EntryRegions]:
        """Return the same as ``replacing``, for events that are attributed to the entry's policy."""
        return self._eligible(self._attributed.get((self._planned(entry), _attribution(entry)), []), entry, policy)

    def _planned(self, entry: EntryRegions) -> tuple[Any, ...]:
        """Return what two entries must have in common for one to replace the other."""
        return entry.action, entry.entry.parameters, entry.entry.section if self._by_section else None

    def _eligible(self, entries: list[EntryRegions], entry: EntryRegions, policy: Policy | None) -> list[EntryRegions]:
        # Flags merge within one policy only, and an entry overrides only the defaults of its own policy. There, an
        # entry of another policy cannot replace this one.
        if self._by_section or entry.action in FLAGS:
            return [other for other in entries if other.policy is policy]
        return entries


def _attribution(entry: EntryRegions) -> tuple[Any, ...]:
    return tuple(entry.attribution().items())


@dataclass(frozen=True)
class Options:
    """The options of both engines, as in ``Engine``."""

    defaults: str = "always"
    not_in: str = "kubernetes"
    mode: str | None = None


def compare_meanings(old: Engine, new: Engine, options: Options | None = None) -> SemanticDiff:
    """Return the differences between two policy sets, for all possible events.

    Args:
        old: an engine with the old policies.
        new: an engine with the new policies and the same options.
        options: these options.
    """
    return _Comparison(old, new, options or Options()).result()


class _Comparison:
    def __init__(self, old: Engine, new: Engine, options: Options) -> None:
        self._engines = old, new
        self._old, self._new = (_Entries(engine, options) for engine in self._engines)
        self._counterparts = Counterparts(old.policies, new.policies)

    def result(self) -> SemanticDiff:
        changed = []
        rewritten = unchanged = 0
        for policies in self._counterparts.pairs:
            for old_entry, new_entry in policies.entries:
                before = self._entry(self._old, policies.old, old_entry)
                after = self._entry(self._new, policies.new, new_entry)
                if before is not None and after is not None and _content(before) == _content(after):
                    unchanged += 1
                    continue
                shown = after or before
                if shown is None:
                    continue
                differences = tuple(self._differences(before, after, policies.old, policies.new))
                if not differences:
                    rewritten += 1
                    continue
                kind: Literal["added", "removed", "changed"]
                kind = "added" if before is None else "removed" if after is None else "changed"
                old = None if before is None else before.location
                new = None if after is None else after.location
                changed.append(ChangedEntry(kind, shown.policy, shown.entry, old, new, differences))
        return SemanticDiff(tuple(changed), rewritten, unchanged)

    @staticmethod
    def _entry(entries: _Entries, policy: Policy | None, entry: Entry | None) -> EntryRegions | None:
        """Return an entry with its regions; None if it does not exist or is disabled."""
        if policy is None or entry is None:
            return None
        return entries.by_place.get((id(policy), entry.section, entry.index))

    def _differences(
        self, before: EntryRegions | None, after: EntryRegions | None, old: Policy | None, new: Policy | None
    ) -> Iterator[EntryDifference]:
        if after is not None:
            yield from self._difference("new", after, self._new, self._old, old)
        if before is not None:
            yield from self._difference("old", before, self._old, self._new, new)

    def _difference(
        self, side: Literal["old", "new"], entry: EntryRegions, mine: _Entries, theirs: _Entries, policy: Policy | None
    ) -> Iterator[EntryDifference]:
        """Yield the first difference: among events that are not attributed, then among those attributed to the policy.

        Args:
            side: the set of the entry.
            entry: the entry.
            mine: the entries of its set.
            theirs: the entries of the other set.
            policy: the policy of the other set that corresponds to the entry's policy.
        """
        try:
            for region, others, attribution in (
                (entry.region, theirs.replacing(entry, policy), {}),
                (entry.attributed, theirs.replacing_attributed(entry, policy), entry.attribution()),
            ):
                replacing = [
                    (other.attributed if attribution else other.region)
                    for other in others
                    if theirs.force(other) >= mine.force(entry)
                ]
                left = _outside(region, replacing)
                if left is not None:
                    event = {**attribution, **left.example(entry.target_scopes)}
                    changes = compare(*(engine.evaluate(event) for engine in self._engines))
                    note = None if changes else "another action hides the difference for this event; no other was tried"
                    yield EntryDifference(side, event, changes, note)
                    return
        except UndecidedError as error:
            yield EntryDifference(side, None, (), f"not decided whether there are such events: {error}")


def _outside(region: EventRegion, others: list[EventRegion]) -> EventRegion | None:
    """Return events of a region that are in none of the others; None if there are none."""
    if region.empty:
        return None
    if len(others) > MAX_CANDIDATES:
        raise UndecidedError(f"{len(others):,} entries to compare it with")
    return region.within([other for other in others if not (other & region).empty])


def _content(entry: EntryRegions) -> tuple[Any, ...]:
    """Return the conditions under which an entry fires, and the action that it plans."""
    policy = entry.policy
    return (
        policy.uid,
        policy.name,
        policy.mode,
        meaning(policy.selectors),
        entry.entry.section,
        entry.action,
        entry.entry.parameters,
        meaning(entry.entry.selectors),
    )
