"""The difference between two plans of one event, as changes of actions.

A plan counts as a bag of (action, parameters, disposition). Who asked for an action, and the order of actions, are not
compared: docs/DIFF.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from spyderresp.policies.policy_set import Entry, Policy
from spyderresp.policies.vocabulary import ACTIONS, Disposition

Kind = Literal["gained", "lost", "changed"]
#: What a kill is.
KILLS: Final = frozenset({"agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree", "agentKillPod"})
#: How far a disposition goes.
_REACH: Final[Mapping[Disposition | None, int]] = {
    None: 0,
    "not_applicable": 0,
    "superseded": 0,
    "audit": 1,
    "execute": 2,
}
_ORDER: Final = ("execute", "audit", "superseded", "not_applicable")
Items = tuple[tuple[str, str | int], ...]


class Asking(Protocol):
    """An entry that asked for an action, as a plan names it."""

    @property
    def policy(self) -> str: ...
    @property
    def uid(self) -> str | None: ...
    @property
    def section(self) -> Literal["default", "actions"]: ...
    @property
    def index(self) -> int: ...


class Planned(Protocol):
    """One action of a plan, or of what plans share."""

    @property
    def name(self) -> str: ...
    @property
    def items(self) -> Items: ...
    @property
    def disposition(self) -> Disposition: ...
    @property
    def sources(self) -> tuple[Any, ...]: ...


@dataclass(frozen=True, slots=True)
class Change:
    """One action that an event gains or loses, or whose disposition changes.

    Attributes:
        action: its name.
        items: its parameters as pairs.
        old: its disposition by the old policies; None where it is gained.
        new: its disposition by the new policies; None where it is lost.
        old_sources: the entries that asked for it before.
        new_sources: those that ask for it now.
    """

    action: str
    items: Items
    old: Disposition | None
    new: Disposition | None
    old_sources: tuple[Any, ...] = ()
    new_sources: tuple[Any, ...] = ()

    @property
    def kind(self) -> Kind:
        """What happens to the action."""
        return "gained" if self.old is None else "lost" if self.new is None else "changed"

    @property
    def destructive(self) -> bool:
        """Whether it is a kill that is newly planned, newly executed, or in force where it was not before.

        A kill that is gained counts whatever its disposition: on another event of its kind it may be carried out.
        """
        return self.action in KILLS and (
            self.old is None or (self.new is not None and _REACH[self.new] > _REACH[self.old])
        )

    @property
    def said(self) -> tuple[str, Items, Disposition | None, Disposition | None]:
        """The change apart from who asked."""
        return self.action, self.items, self.old, self.new


def compare(old: Iterable[Planned], new: Iterable[Planned]) -> tuple[Change, ...]:
    """Return what changes between two plans, by action, then parameters, then disposition.

    Actions of one name and equal parameters are held against each other: those of one disposition are the same, those
    left over are paired as changed, and what is then left is lost or gained.
    """
    before, after = _piled(old), _piled(new)
    changes: list[Change] = []
    for key in sorted({*before, *after}, key=_place):
        changes += _compared(key, before.get(key, ()), after.get(key, ()))
    return tuple(changes)


def _piled(actions: Iterable[Planned]) -> dict[tuple[str, Items], list[Planned]]:
    piles: dict[tuple[str, Items], list[Planned]] = defaultdict(list)
    for action in actions:
        piles[action.name, action.items].append(action)
    return piles


def _place(key: tuple[str, Items]) -> tuple[int, list[tuple[str, str]]]:
    return ACTIONS.index(key[0]), [
        (name, f"{value:+04d}" if isinstance(value, int) else value) for name, value in key[1]
    ]


def _compared(key: tuple[str, Items], old: Sequence[Planned], new: Sequence[Planned]) -> list[Change]:
    left, right = _left_over(old, new), _left_over(new, old)
    count = max(len(left), len(right))
    paired = zip([*left, *[None] * (count - len(left))], [*right, *[None] * (count - len(right))], strict=True)
    return [
        Change(
            *key,
            None if one is None else one.disposition,
            None if other is None else other.disposition,
            () if one is None else one.sources,
            () if other is None else other.sources,
        )
        for one, other in paired
    ]


def _left_over(these: Sequence[Planned], those: Sequence[Planned]) -> list[Planned]:
    """Return those of these actions for which there is none of the same disposition among the others."""
    there = [action.disposition for action in those]
    # Of several of one disposition it is a matter of taste which is the new one: that whose asker is new.
    asked = {source for action in those for source in action.sources}
    left = []
    for action in sorted(these, key=lambda item: not asked.issuperset(item.sources)):
        if action.disposition in there:
            there.remove(action.disposition)
        else:
            left.append(action)
    return sorted(left, key=lambda item: _ORDER.index(item.disposition))


def asked_by_others(old: Iterable[Planned], new: Iterable[Planned]) -> bool:
    """Tell whether two plans whose actions are the same were asked for by different entries."""
    return _askers(old) != _askers(new)


def _askers(actions: Iterable[Planned]) -> list[Any]:
    return sorted(
        [
            action.name,
            repr(action.items),
            sorted((source.policy, source.section, source.index) for source in action.sources),
        ]
        for action in actions
    )


# Which policy and entry of the new set is which of the old one.


@dataclass(frozen=True)
class PolicyPair:
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


def _twins(old: Sequence[Policy], new: Sequence[Policy]) -> Iterator[PolicyPair]:
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
        yield PolicyPair(one, other, tuple(_paired(before, after, _ENTRY_KEYS)))


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
