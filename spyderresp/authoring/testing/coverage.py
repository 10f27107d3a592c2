"""Which policies, actions and clauses the events of tests have tried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from spyderresp.decision.explain import EntryReason, Explanation, PolicyReason, SelectorReason
from spyderresp.errors import Location
from spyderresp.policies.policy_set import Policy, PolicySet, Selector

What = Literal["policies", "actions", "clauses"]
WHATS: Final[tuple[What, ...]] = get_args(What)
#: Of a policy: its file, line and column, and which one at that place; then the entry, the selector, the clause.
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class CoveredPlace:
    """One policy, action or clause.

    Attributes:
        what: ``policies``, ``actions`` or ``clauses``.
        policy: the policy's name.
        subject: the entry, selector and clause; empty for a policy.
        location: where it stands.
        missing: what was never seen, such as ``never fired``; empty where it is covered.
    """

    what: What
    policy: str
    subject: str
    location: Location
    missing: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was tried.

    A policy is covered when some event was in its scope, an action when it fired, a clause when it was seen to hold and
    seen to fail. What is disabled does not count.

    Attributes:
        places: all that count, in reading order.
    """

    places: tuple[CoveredPlace, ...]

    def counts(self, what: What | None = None) -> tuple[int, int]:
        """Return how many are covered, and how many there are; of one kind, or of all."""
        mine = [place for place in self.places if what is None or place.what == what]
        return sum(not place.missing for place in mine), len(mine)

    @property
    def percent(self) -> float:
        """The share of all places that is covered; 100 where there are none."""
        covered, total = self.counts()
        return 100.0 * covered / total if total else 100.0

    @property
    def uncovered(self) -> tuple[CoveredPlace, ...]:
        """What is not covered."""
        return tuple(place for place in self.places if place.missing)


class Recorder:
    """Gathers what events did to policies. Made for one run."""

    def __init__(self) -> None:
        self._places: dict[Key, tuple[What, str, str, Location]] = {}
        self._yes: set[Key] = set()
        self._no: set[Key] = set()
        self._known: set[int] = set()
        self._held: list[PolicySet] = []

    def expect(self, policies: PolicySet) -> None:
        """Count the places of policies, once."""
        if id(policies) in self._known:
            return
        # Held, so that no other set can take its id.
        self._held.append(policies)
        self._known.add(id(policies))
        for policy, key in zip(policies, _keys(policies), strict=True):
            if policy.enabled:
                self._policy(policy, key)

    def _policy(self, policy: Policy, key: Key) -> None:
        name = policy.name
        self._places.setdefault(key, ("policies", name, "", policy.location))
        self._clauses(name, "", policy.selectors, key)
        for number, entry in enumerate(policy.entries):
            if entry.enabled:
                subject = f"{entry.section}[{entry.index}] {entry.action}"
                self._places.setdefault((*key, number), ("actions", name, subject, entry.location))
                self._clauses(name, f"{subject}: ", entry.selectors, (*key, number))

    def _clauses(self, name: str, prefix: str, selectors: tuple[Selector, ...], key: Key) -> None:
        for selector in selectors:
            for number, clause in enumerate(selector.clauses):
                values = f" [{', '.join(clause.values)}]" if clause.values else ""
                subject = f"{prefix}{selector.key}: {clause.key} {clause.operator}{values}"
                place: tuple[What, str, str, Location] = ("clauses", name, subject, clause.location)
                self._places.setdefault((*key, selector.key, number), place)

    def see(self, explanation: Explanation, policies: PolicySet) -> None:
        """Take in what one event did."""
        for reason, key in zip(explanation.policies, _keys(policies), strict=True):
            self._saw(reason, key)

    def _saw(self, reason: PolicyReason, key: Key) -> None:
        if reason.in_scope:
            self._yes.add(key)
        self._saw_clauses(reason.selectors, key)
        for number, entry in enumerate(reason.entries):
            self._saw_entry(entry, (*key, number))

    def _saw_entry(self, entry: EntryReason, key: Key) -> None:
        if entry.fired:
            self._yes.add(key)
        self._saw_clauses(entry.selectors, key)

    def _saw_clauses(self, selectors: tuple[SelectorReason, ...], key: Key) -> None:
        for selector in selectors:
            for number, clause in enumerate(selector.clauses):
                (self._yes if clause.holds else self._no).add((*key, selector.selector, number))

    def coverage(self) -> Coverage:
        """Return what was gathered."""
        return Coverage(tuple(self._covered()))

    def _covered(self) -> Iterator[CoveredPlace]:
        for key, (what, policy, subject, location) in self._places.items():
            yes, no = key in self._yes, key in self._no
            if what == "clauses":
                missing = "" if yes and no else "never failed" if yes else "never held" if no else "never tried"
            else:
                missing = "" if yes else "never in scope" if what == "policies" else "never fired"
            yield CoveredPlace(what, policy, subject, location, missing)


def _keys(policies: PolicySet) -> Iterator[Key]:
    """Yield what tells each policy from all others, however the path to it is written."""
    met: dict[Key, int] = {}
    for policy in policies:
        where = policy.location
        key = (os.path.realpath(where.path), where.line, where.column)
        met[key] = met.get(key, -1) + 1
        yield (*key, met[key])
