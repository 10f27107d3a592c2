"""The coverage of policies, actions and clauses by the events of tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from spyderresp.decision.explain import Explanation, SelectorReason
from spyderresp.errors import Location
from spyderresp.policies.policy_set import Policy, PolicySet, Selector

What = Literal["policies", "actions", "clauses"]
WHATS: Final[tuple[What, ...]] = get_args(What)
#: The file, line and column of a policy, and a number if several are there; then the entry, selector and clause.
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class CoveredPlace:
    """A policy, action or clause, and whether it is covered.

    Attributes:
        what: ``policies``, ``actions`` or ``clauses``.
        policy: the name of the policy.
        subject: the entry, selector and clause; empty for a policy.
        location: its location.
        missing: what never happened, such as ``never fired``; empty: it is covered.
    """

    what: What
    policy: str
    subject: str
    location: Location
    missing: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of all policies.

    A policy is covered if an event was in its scope; an action, if it fired; a clause, if it matched for one event and
    did not match for another. Disabled policies and entries do not count.

    Attributes:
        places: all policies, actions and clauses, in reading order.
    """

    places: tuple[CoveredPlace, ...]

    def counts(self, what: What | None = None) -> tuple[int, int]:
        """Return the number of covered places and the number of places; ``what``: of one kind only."""
        places = [place for place in self.places if what is None or place.what == what]
        return sum(not place.missing for place in places), len(places)

    @property
    def percent(self) -> float:
        """The covered share of all places, in percent; 100 if there are none."""
        covered, total = self.counts()
        return 100.0 * covered / total if total else 100.0

    @property
    def uncovered(self) -> tuple[CoveredPlace, ...]:
        """The places that are not covered."""
        return tuple(place for place in self.places if place.missing)


class Recorder:
    """Records which policies, actions and clauses events cover, during one run."""

    def __init__(self) -> None:
        self._places: dict[Key, tuple[What, str, str, Location]] = {}
        # The places that were in scope, fired or matched; and the clauses that did not match.
        self._yes: set[Key] = set()
        self._no: set[Key] = set()
        # Sets by their ``id``. They are kept, so that no other set can get the same ``id``.
        self._sets: dict[int, PolicySet] = {}

    def add_policies(self, policies: PolicySet) -> None:
        """Add the places of policies."""
        if id(policies) in self._sets:
            return
        self._sets[id(policies)] = policies
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

    def record(self, explanation: Explanation, policies: PolicySet) -> None:
        """Record what one event covers."""
        for reason, key in zip(explanation.policies, _keys(policies), strict=True):
            if reason.in_scope:
                self._yes.add(key)
            self._record_clauses(reason.selectors, key)
            for number, entry in enumerate(reason.entries):
                if entry.fired:
                    self._yes.add((*key, number))
                self._record_clauses(entry.selectors, (*key, number))

    def _record_clauses(self, selectors: tuple[SelectorReason, ...], key: Key) -> None:
        for selector in selectors:
            for number, clause in enumerate(selector.clauses):
                (self._yes if clause.holds else self._no).add((*key, selector.selector, number))

    def coverage(self) -> Coverage:
        """Return the coverage so far."""
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
    """Yield a unique key for each policy. It does not depend on how the path of the policy is written."""
    counts: dict[Key, int] = {}
    for policy in policies:
        where = policy.location
        key = (os.path.realpath(where.path), where.line, where.column)
        counts[key] = counts.get(key, -1) + 1
        yield (*key, counts[key])
