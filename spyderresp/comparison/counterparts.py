"""Which policy and entry of the new set is which of the old one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spyderresp.policy import Entry, Policy


@dataclass(frozen=True)
class Twins:
    """A policy in both sets, or in one.

    Attributes:
        old: None where it is new.
        new: None where it is gone.
        entries: its entries, likewise.
    """

    old: Policy | None
    new: Policy | None
    entries: tuple[tuple[Entry | None, Entry | None], ...]


class Counterparts:
    """What in one set is what in the other: policies by uid, else by name; entries by what they say, else by place."""

    def __init__(self, old: Sequence[Policy], new: Sequence[Policy]) -> None:
        self.twins = tuple(_twins(old, new))
        self._of: dict[tuple[bool, int, str, int], tuple[Policy, Entry] | None] = {}
        self._policies: dict[tuple[bool, int], Policy | None] = {}
        for twins in self.twins:
            for is_new, mine, other in ((False, twins.old, twins.new), (True, twins.new, twins.old)):
                if mine is None:
                    continue
                self._policies[is_new, id(mine)] = other
                for pair in twins.entries:
                    entry, counterpart = pair[is_new], pair[not is_new]
                    if entry is not None:
                        found = None if other is None or counterpart is None else (other, counterpart)
                        self._of[is_new, id(mine), entry.section, entry.index] = found

    def policy(self, policy: Policy, *, is_new: bool) -> Policy | None:
        """Return the same policy of the other set; ``is_new`` says which set it is from."""
        return self._policies[is_new, id(policy)]

    def entry(self, policy: Policy, section: str, index: int, *, is_new: bool) -> tuple[Policy, Entry] | None:
        """Return the same entry of the other set, and its policy."""
        return self._of[is_new, id(policy), section, index]


def _twins(old: Sequence[Policy], new: Sequence[Policy]) -> Iterator[Twins]:
    paired = _paired(
        old,
        new,
        (
            lambda policy: policy.uid,
            lambda policy: policy.name,
        ),
    )
    for one, other in paired:
        before = () if one is None else one.entries
        after = () if other is None else other.entries
        yield Twins(one, other, tuple(_paired(before, after, _ENTRY_KEYS)))


def meaning(selectors: Iterable[Any]) -> frozenset[Any]:
    """Return what selectors say, the order of clauses and values apart."""
    return frozenset(
        (selector.scope, clause.key, clause.operator, frozenset(clause.values))
        for selector in selectors
        for clause in selector.clauses
    )


_ENTRY_KEYS: tuple[Callable[[Entry], Any], ...] = (
    lambda entry: (entry.section, entry.action, entry.parameters, meaning(entry.selectors), entry.enabled),
    lambda entry: (entry.section, entry.action, entry.parameters, meaning(entry.selectors)),
    lambda entry: (entry.section, entry.action, entry.parameters),
    lambda entry: (entry.section, entry.action, entry.index),
    lambda entry: (entry.section, entry.action),
    lambda entry: (entry.action, entry.parameters),
)


def _paired(
    old: Sequence[Any],
    new: Sequence[Any],
    keys: Sequence[Callable[[Any], Any]],
) -> list[tuple[Any, Any]]:
    """Pair items by the first key that they share, then by the next; in the old order, what is new at the end."""
    left, right = dict(enumerate(old)), dict(enumerate(new))
    mate: dict[int, int] = {}
    for key in keys:
        waiting: dict[Any, list[int]] = defaultdict(list)
        for place, item in right.items():
            said = key(item)
            if said is not None:
                waiting[said].append(place)
        for place, item in list(left.items()):
            found = waiting.get(key(item))
            if found:
                mate[place] = found.pop(0)
                del left[place], right[mate[place]]
    pairs = [(item, new[mate[place]] if place in mate else None) for place, item in enumerate(old)]
    return [*pairs, *((None, item) for item in right.values())]
