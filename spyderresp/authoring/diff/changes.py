"""The difference between two plans of one event, as changes of actions.

A plan counts as a multiset of (action, parameters, disposition). The entries that planned an action, and the order of
actions, are not compared: docs/DIFF.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, Literal, Protocol

from spyderresp.policies.policy_set import Entry, Policy
from spyderresp.policies.vocabulary import ACTIONS, Disposition

Kind = Literal["gained", "lost", "changed"]
#: The actions that kill.
KILLS: Final = frozenset({"agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree", "agentKillPod"})
# The force of a disposition, as a number to compare.
_FORCE: Final[Mapping[Disposition | None, int]] = {
    None: 0,
    "not_applicable": 0,
    "superseded": 0,
    "audit": 1,
    "execute": 2,
}
_ORDER: Final = ("execute", "audit", "superseded", "not_applicable")
Items = tuple[tuple[str, str | int], ...]


class Planned(Protocol):
    """One action of a plan."""

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
    """An action that an event gains or loses, or whose disposition changes.

    Attributes:
        action: its name.
        items: its parameters, as pairs.
        old: its disposition by the old policies; None: it is gained.
        new: its disposition by the new policies; None: it is lost.
        old_sources: the entries of the old policies that planned it.
        new_sources: the entries of the new policies that plan it.
    """

    action: str
    items: Items
    old: Disposition | None
    new: Disposition | None
    old_sources: tuple[Any, ...] = ()
    new_sources: tuple[Any, ...] = ()

    @property
    def kind(self) -> Kind:
        """Whether the action is gained, lost or changed."""
        return "gained" if self.old is None else "lost" if self.new is None else "changed"

    @property
    def destructive(self) -> bool:
        """Whether the action is a kill that is newly planned or has more force than before.

        A gained kill counts with any disposition, because for a similar event it may be executed.
        """
        return self.action in KILLS and (
            self.old is None or (self.new is not None and _FORCE[self.new] > _FORCE[self.old])
        )

    @property
    def key(self) -> tuple[str, Items, Disposition | None, Disposition | None]:
        """The change without the entries behind it."""
        return self.action, self.items, self.old, self.new


def compare(old: Iterable[Planned], new: Iterable[Planned]) -> tuple[Change, ...]:
    """Return the changes between two plans, by action, parameters and disposition.

    Only actions with the same name and parameters are compared. Those with the same disposition are unchanged; of the
    others, as many as possible are paired as changed; the remaining ones are lost or gained.
    """
    before, after = _grouped(old), _grouped(new)
    changes: list[Change] = []
    for key in sorted({*before, *after}, key=_order):
        changes += _compared(key, before.get(key, ()), after.get(key, ()))
    return tuple(changes)


def _grouped(actions: Iterable[Planned]) -> dict[tuple[str, Items], list[Planned]]:
    groups: dict[tuple[str, Items], list[Planned]] = defaultdict(list)
    for action in actions:
        groups[action.name, action.items].append(action)
    return groups


def _order(key: tuple[str, Items]) -> tuple[int, list[tuple[str, str]]]:
    return ACTIONS.index(key[0]), [
        (name, f"{value:+04d}" if isinstance(value, int) else value) for name, value in key[1]
    ]


def _compared(key: tuple[str, Items], old: Sequence[Planned], new: Sequence[Planned]) -> list[Change]:
    return [
        Change(
            *key,
            None if before is None else before.disposition,
            None if after is None else after.disposition,
            () if before is None else before.sources,
            () if after is None else after.sources,
        )
        for before, after in zip_longest(_unmatched(old, new), _unmatched(new, old))
    ]


def _unmatched(actions: Sequence[Planned], others: Sequence[Planned]) -> list[Planned]:
    """Return the actions without a counterpart of the same disposition among the others."""
    dispositions = [action.disposition for action in others]
    # If several have the same disposition, those with a new source are the unmatched ones.
    sources = {source for action in others for source in action.sources}
    unmatched = []
    for action in sorted(actions, key=lambda item: not sources.issuperset(item.sources)):
        if action.disposition in dispositions:
            dispositions.remove(action.disposition)
        else:
            unmatched.append(action)
    return sorted(unmatched, key=lambda item: _ORDER.index(item.disposition))


def asked_by_others(old: Iterable[Planned], new: Iterable[Planned]) -> bool:
    """Return whether different entries are behind two plans with the same actions."""
    return _sources(old) != _sources(new)


def _sources(actions: Iterable[Planned]) -> list[Any]:
    return sorted(
        [
            action.name,
            repr(action.items),
            sorted((source.policy, source.section, source.index) for source in action.sources),
        ]
        for action in actions
    )


# The policies and entries that correspond to each other in two sets.


@dataclass(frozen=True)
class PolicyPair:
    """A policy that is in both sets, or in one.

    Attributes:
        old: the policy in the old set; None: it is new.
        new: the policy in the new set; None: it was removed.
        entries: its entries, each as in the old and in the new set.
    """

    old: Policy | None
    new: Policy | None
    entries: tuple[tuple[Entry | None, Entry | None], ...]


class Counterparts:
    """Pairs the policies of two sets by uid, else by name; and their entries by content, else by position.

    Attributes:
        pairs: all policies, in the order of the old set; new policies come last.
    """

    def __init__(self, old: Sequence[Policy], new: Sequence[Policy]) -> None:
        self.pairs = tuple(_policy_pairs(old, new))
        self._entries: dict[tuple[bool, int, str, int], tuple[Policy, Entry] | None] = {}
        self._policies: dict[tuple[bool, int], Policy | None] = {}
        for policies in self.pairs:
            for is_new, mine, other in ((False, policies.old, policies.new), (True, policies.new, policies.old)):
                if mine is None:
                    continue
                self._policies[is_new, id(mine)] = other
                for pair in policies.entries:
                    entry, counterpart = pair[is_new], pair[not is_new]
                    if entry is not None:
                        both = None if other is None or counterpart is None else (other, counterpart)
                        self._entries[is_new, id(mine), entry.section, entry.index] = both

    def policy(self, policy: Policy, *, is_new: bool) -> Policy | None:
        """Return the counterpart of a policy in the other set; ``is_new``: the policy is from the new set."""
        return self._policies[is_new, id(policy)]

    def entry(self, policy: Policy, section: str, index: int, *, is_new: bool) -> tuple[Policy, Entry] | None:
        """Return the counterpart of an entry in the other set, with its policy."""
        return self._entries[is_new, id(policy), section, index]


def _policy_pairs(old: Sequence[Policy], new: Sequence[Policy]) -> Iterator[PolicyPair]:
    for before, after in _paired(old, new, (lambda policy: policy.uid, lambda policy: policy.name)):
        old_entries = () if before is None else before.entries
        new_entries = () if after is None else after.entries
        yield PolicyPair(before, after, tuple(_paired(old_entries, new_entries, _ENTRY_KEYS)))


def meaning(selectors: Iterable[Any]) -> frozenset[Any]:
    """Return the content of selectors, without the order of their clauses and values."""
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


def _paired(old: Sequence[Any], new: Sequence[Any], keys: Sequence[Callable[[Any], Any]]) -> list[tuple[Any, Any]]:
    """Pair the items with an equal first key, then of the others those with an equal second key, and so on.

    The pairs have the order of ``old``; items without a counterpart are paired with None; those of ``new`` come last.
    """
    left, right = dict(enumerate(old)), dict(enumerate(new))
    partners: dict[int, int] = {}
    for key in keys:
        waiting: dict[Any, list[int]] = defaultdict(list)
        for index, item in right.items():
            value = key(item)
            if value is not None:
                waiting[value].append(index)
        for index, item in list(left.items()):
            matching = waiting.get(key(item))
            if matching:
                partners[index] = matching.pop(0)
                del left[index], right[partners[index]]
    pairs = [(item, new[partners[index]] if index in partners else None) for index, item in enumerate(old)]
    return [*pairs, *((None, item) for item in right.values())]
