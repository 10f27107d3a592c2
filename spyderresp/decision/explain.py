"""Why each policy and entry did or did not fire, read off the index's own verdicts on the event.

Nothing is decided here: every verdict comes from ``DecisionIndex.trace``, which runs what ``evaluate`` runs. That both
always agree is held by tests/property/test_explain.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spyderresp.decision._index import Trace
from spyderresp.decision._plan import ActionPlan
from spyderresp.decision.compiler import Compiled
from spyderresp.errors import Location
from spyderresp.policies.policy_set import Clause, Entry, Policy, Section, Selector

Status = Literal["holds", "fails", "absent", "excused"]


@dataclass(frozen=True, slots=True)
class ClauseReason:
    """One clause and what it made of the event.

    Attributes:
        key: the field or label.
        operator: ``In``, ``NotIn``, ``Exists`` or ``DoesNotExist``.
        values: what it names.
        value: the event's text, or None where absent.
        holds: the verdict.
        location: where the clause stands.
    """

    key: str
    operator: str
    values: tuple[str, ...]
    value: str | None
    holds: bool
    location: Location


@dataclass(frozen=True, slots=True)
class SelectorReason:
    """One selector and what it made of the event.

    Attributes:
        selector: such as ``processSelector``.
        status: ``holds``; ``fails``; ``absent``: the event has no such object; ``excused``: it has none, and by its
            attribution the detector has checked it.
        clauses: each clause; none where the object is absent.
        location: where the selector stands.
    """

    selector: str
    status: Status
    clauses: tuple[ClauseReason, ...]
    location: Location

    @property
    def holds(self) -> bool:
        """Whether it lets the policy or entry through."""
        return self.status in ("holds", "excused")


@dataclass(frozen=True, slots=True)
class EntryReason:
    """One entry of a response, and whether it fired.

    Attributes:
        action: its name.
        section: ``default`` or ``actions``.
        index: its place in that list.
        fired: whether it is in the plan.
        reason: one line that says why or why not.
        deciding: the clause that decided against it, or None.
        selectors: every selector; none where the entry is disabled or its policy out of scope.
        location: where it stands.
    """

    action: str
    section: Section
    index: int
    fired: bool
    reason: str
    deciding: ClauseReason | None
    selectors: tuple[SelectorReason, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class PolicyReason:
    """One policy, whether it is in scope, and its entries.

    Attributes:
        policy: its name.
        uid: its uid, or None.
        mode: ``audit`` or ``enforce``.
        in_scope: whether it applies to the event.
        reason: one line that says why or why not.
        deciding: the clause that decided against it, or None.
        selectors: every selector; none where the policy is disabled or not the one attributed.
        entries: every entry, in order.
        location: where the policy begins.
    """

    policy: str
    uid: str | None
    mode: str
    in_scope: bool
    reason: str
    deciding: ClauseReason | None
    selectors: tuple[SelectorReason, ...]
    entries: tuple[EntryReason, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every policy and entry of the set, and what it made of one event.

    Attributes:
        plan: the plan, as ``evaluate`` gives it.
        policies: one for each policy of the set, in order, the disabled ones among them.
    """

    plan: ActionPlan
    policies: tuple[PolicyReason, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON values, the plan under ``plan``."""
        return {"plan": self.plan.to_dict(), "policies": [_said(policy) for policy in self.policies]}


def explain(compiled: Compiled, event: Mapping[str, Any]) -> Explanation:
    """Explain one event.

    Raises:
        EventError: the event is malformed where it is checked.
    """
    plan = compiled.index.evaluate(event)
    trace = compiled.index.trace(event)
    return Explanation(plan, tuple(_Explainer(compiled, trace).policies()))


class _Explainer:
    def __init__(self, compiled: Compiled, trace: Trace) -> None:
        self._compiled = compiled
        self._trace = trace
        self._in_scope = frozenset(trace.policies)
        self._fired = frozenset(trace.entries)

    def policies(self) -> Iterator[PolicyReason]:
        place = first_entry = 0
        for policy in self._compiled.policy_set:
            if not policy.enabled:
                entries = tuple(_silent(entry, "the policy is disabled") for entry in policy.entries)
                yield _reason(policy, False, "the policy is disabled", None, (), entries)
                continue
            yield self._policy(policy, place, first_entry)
            first_entry += sum(entry.enabled for entry in policy.entries)
            place += 1

    def _policy(self, policy: Policy, place: int, first_entry: int) -> PolicyReason:
        other = self._attributed_elsewhere(policy)
        if other is not None:
            entries = tuple(_silent(entry, "the policy is out of scope") for entry in policy.entries)
            return _reason(policy, False, other, None, (), entries)
        excuse = self._trace.attribution is not None
        number = self._compiled.index.program.policy_selector
        selectors = tuple(
            self._selector(selector, number(place, i), excuse=excuse) for i, selector in enumerate(policy.selectors)
        )
        in_scope = place in self._in_scope
        why, deciding = _verdict(selectors, "in scope", "out of scope")
        entries = tuple(self._entries(policy, first_entry, in_scope=in_scope))
        return _reason(policy, in_scope, why, deciding, selectors, entries)

    def _attributed_elsewhere(self, policy: Policy) -> str | None:
        if self._trace.attribution is None:
            return None
        key, value, _ = self._trace.attribution
        if (policy.uid if key == "policy_uid" else policy.name) == value:
            return None
        return f"the event is attributed to another policy: {key} {value!r}"

    def _entries(self, policy: Policy, place: int, *, in_scope: bool) -> Iterator[EntryReason]:
        number = self._compiled.index.program.entry_selector
        for entry in policy.entries:
            if not entry.enabled:
                yield _silent(entry, "the entry is disabled")
                continue
            if not in_scope:
                yield _silent(entry, "the policy is out of scope")
            else:
                selectors = tuple(
                    self._selector(selector, number(place, i), excuse=False)
                    for i, selector in enumerate(entry.selectors)
                )
                why, deciding = _verdict(selectors, "fired", "did not fire")
                where = entry.location
                fired = place in self._fired
                yield EntryReason(entry.action, entry.section, entry.index, fired, why, deciding, selectors, where)
            place += 1

    def _selector(self, selector: Selector, number: int, *, excuse: bool) -> SelectorReason:
        if selector.scope not in self._trace.present:
            return SelectorReason(selector.key, "excused" if excuse else "absent", (), selector.location)
        predicate = self._compiled.index.program.selector_predicate
        clauses = tuple(
            self._clause(selector, clause, predicate(number, i)) for i, clause in enumerate(selector.clauses)
        )
        status: Status = "holds" if self._trace.selectors[number] else "fails"
        return SelectorReason(selector.key, status, clauses, selector.location)

    def _clause(self, selector: Selector, clause: Clause, number: int) -> ClauseReason:
        value = self._trace.values[self._compiled.attributes[selector.scope, clause.key]]
        holds = self._trace.predicates[number]
        return ClauseReason(clause.key, clause.operator, clause.values, value, holds, clause.location)


def _verdict(selectors: tuple[SelectorReason, ...], yes: str, no: str) -> tuple[str, ClauseReason | None]:
    """Return one line that says what decided, and the clause if it was one: the first, in the author's order."""
    for selector in selectors:
        if selector.status == "absent":
            return f"{no}: the event has no object for {selector.selector}", None
        if selector.status == "fails":
            clause = next(clause for clause in selector.clauses if not clause.holds)
            return f"{no}: {selector.selector}: {clause_text(clause)}", clause
    return yes, None


def clause_text(clause: ClauseReason) -> str:
    """Return a clause and the value it met, as one line."""
    wanted = f" [{', '.join(map(repr, clause.values))}]" if clause.values else ""
    met = "absent" if clause.value is None else repr(clause.value)
    return f"{clause.key} {clause.operator}{wanted}, and it is {met}"


def _silent(entry: Entry, reason: str) -> EntryReason:
    where = entry.location
    return EntryReason(entry.action, entry.section, entry.index, False, f"did not fire: {reason}", None, (), where)


def _reason(
    policy: Policy,
    in_scope: bool,
    reason: str,
    deciding: ClauseReason | None,
    selectors: tuple[SelectorReason, ...],
    entries: tuple[EntryReason, ...],
) -> PolicyReason:
    return PolicyReason(
        policy.name, policy.uid, policy.mode, in_scope, reason, deciding, selectors, entries, policy.location
    )


def _said(value: Any) -> Any:
    """Return reasons as JSON values; a location as ``path:line:column``."""
    if isinstance(value, Location):
        return str(value)
    if isinstance(value, tuple):
        return [_said(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _said(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
