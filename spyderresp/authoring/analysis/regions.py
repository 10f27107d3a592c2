"""What events a conjunction of selectors lets through: a set of values for every field, independent of each other.

Selectors, primitives and entries are joined by AND, and OR stands inside one entry only; so what lets an entry fire
is a product of sets, a box, and questions about boxes are questions about one field at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Final

from spyderresp.authoring.analysis.automata import UndecidedError, find, matches
from spyderresp.errors import Location, SpyderrespError
from spyderresp.policies.diagnostics import suggestion
from spyderresp.policies.policy_set import Clause, Entry, Policy, PolicySet, Selector
from spyderresp.policies.vocabulary import FIELDS, LABEL_SCOPES, NAMESPACE_NAME_LABEL, SCOPES, TARGET_SCOPE

# What values of a field or label a clause lets through: sets to be cut, taken from each other, shown by an example.


@dataclass(frozen=True, slots=True)
class Values:
    """A set of values of one field, absence among them.

    Attributes:
        absent: whether the field may be missing.
        present: whether it may be there.
        any_of: where it is there, one glob of each of these groups takes it.
        none_of: and none of these.
    """

    absent: bool = True
    present: bool = True
    any_of: frozenset[frozenset[str]] = field(default_factory=frozenset)
    none_of: frozenset[str] = field(default_factory=frozenset)

    def __and__(self, other: Values) -> Values:
        """Return what is in both."""
        return Values(
            self.absent and other.absent,
            self.present and other.present,
            self.any_of | other.any_of,
            self.none_of | other.none_of,
        )

    def minus(self, other: Values) -> Iterator[Values]:
        """Yield sets that together hold what is in this one and not in the other; none twice."""
        if self.absent and not other.absent:
            yield ABSENT
        if not self.present:
            return
        rest = Values(False, True, self.any_of, self.none_of)
        if not other.present:
            yield rest
            return
        for group in sorted(other.any_of, key=sorted):
            yield Values(False, True, rest.any_of, rest.none_of | group)
            rest = Values(False, True, rest.any_of | {group}, rest.none_of)
        if other.none_of:
            yield Values(False, True, rest.any_of | {other.none_of}, rest.none_of)

    def holds(self, value: str | None) -> bool:
        """Tell whether a value is in it; None is absence."""
        if value is None:
            return self.absent
        return (
            self.present
            and all(any(matches(value, glob) for glob in group) for group in self.any_of)
            and not any(matches(value, glob) for glob in self.none_of)
        )

    @property
    def example(self) -> str | None:
        """A value of it, None for absence.

        Raises:
            EmptyError: there is none.
            UndecidedError: the search for one was given up.
        """
        if self.absent:
            return None
        text = present_example(self)
        if text is None:
            raise EmptyError
        return text

    @property
    def empty(self) -> bool:
        """Whether it holds nothing.

        Raises:
            UndecidedError: the search was given up.
        """
        return not self.absent and present_example(self) is None


class EmptyError(SpyderrespError):
    """A set has no example, for nothing is in it."""


ANYTHING: Final = Values()
ABSENT: Final = Values(True, False)
PRESENT: Final = Values(False, True)


@lru_cache(maxsize=200_000)
def present_example(values: Values) -> str | None:
    """Return a text of a set, or None where absence is all that it holds, or nothing.

    Raises:
        UndecidedError: the search was given up.
    """
    if not values.present:
        return None
    return find(tuple(sorted(values.any_of, key=sorted)), values.none_of)


def of_clause(clause: Clause, *, not_in_takes_absent: bool) -> Values:
    """Return the values of which a clause holds."""
    if clause.operator == "Exists":
        return PRESENT
    if clause.operator == "DoesNotExist":
        return ABSENT
    if clause.operator == "In":
        return Values(False, True, frozenset({frozenset(clause.values)}))
    return Values(not_in_takes_absent, True, none_of=frozenset(clause.values))


#: How many boxes a question about a union may make before it says that it has not decided.
BUDGET: Final = 20_000


@dataclass(frozen=True, slots=True)
class Scope:
    """What an event may say of one object.

    Attributes:
        lacking: whether it may lack the object.
        having: whether it may have it.
        fields: where it has it, the values of each field or label; one that is not here may be anything.
    """

    lacking: bool = True
    having: bool = True
    fields: Mapping[str, Values] = field(default_factory=dict)

    def __and__(self, other: Scope) -> Scope:
        """Return what both let through."""
        fields = dict(self.fields)
        for key, values in other.fields.items():
            fields[key] = fields[key] & values if key in fields else values
        return Scope(self.lacking and other.lacking, self.having and other.having, fields)

    @property
    def empty(self) -> bool:
        """Whether nothing gets through."""
        if self.lacking:
            return False
        return not self.having or any(values.empty for values in self.fields.values())

    @property
    def possible(self) -> bool:
        """Whether an event that has the object can get through."""
        return self.having and not any(values.empty for values in self.fields.values())


_FREE: Final = Scope()


@dataclass(frozen=True, slots=True)
class EventRegion:
    """A set of events.

    Attributes:
        scopes: what they may say of each object; one that is not here may be anything.
    """

    scopes: Mapping[str, Scope] = field(default_factory=dict)

    def scope(self, name: str) -> Scope:
        """Return what they may say of one object."""
        return self.scopes.get(name, _FREE)

    def __and__(self, other: EventRegion) -> EventRegion:
        """Return the events that are in both."""
        scopes = dict(self.scopes)
        for name, scope in other.scopes.items():
            scopes[name] = scopes[name] & scope if name in scopes else scope
        return EventRegion(scopes)

    def _with(self, name: str, scope: Scope) -> EventRegion:
        return EventRegion({**self.scopes, name: scope})

    @property
    def empty(self) -> bool:
        """Whether no event is in it.

        Raises:
            UndecidedError: it could not be told within the budget.
        """
        return any(scope.empty for scope in self.scopes.values())

    def minus(self, other: EventRegion) -> Iterator[EventRegion]:
        """Yield boxes, no event in two, that together hold what is in this one and not in the other."""
        rest = self
        for name in SCOPES:
            theirs = other.scopes.get(name)
            if theirs is None:
                continue
            mine = rest.scope(name)
            if mine.lacking and not theirs.lacking:
                yield rest._with(name, Scope(True, False))
                mine = replace(mine, lacking=False)
            if mine.having:
                if not theirs.having:
                    yield rest._with(name, replace(mine, lacking=False))
                    mine = Scope(mine.lacking, False)
                else:
                    inside = dict(mine.fields)
                    for key in sorted(theirs.fields):
                        for part in inside.get(key, ANYTHING).minus(theirs.fields[key]):
                            yield rest._with(name, Scope(False, True, {**inside, key: part}))
                        inside[key] = inside.get(key, ANYTHING) & theirs.fields[key]
                    mine = Scope(mine.lacking, True, inside)
            rest = rest._with(name, mine)

    def within(self, others: Iterable[EventRegion], *, budget: int = BUDGET) -> EventRegion | None:
        """Return a box of this one's events that none of the others holds; None where they hold all of them.

        Raises:
            UndecidedError: more than ``budget`` boxes would have to be looked at.
        """
        pieces = [] if self.empty else [self]
        made = 0
        for other in others:
            left = []
            for piece in pieces:
                for part in piece.minus(other):
                    made += 1
                    if made > budget:
                        raise UndecidedError(f"more than {budget:,} pieces")
                    if not part.empty:
                        left.append(part)
            pieces = left
            if not pieces:
                return None
        return pieces[0] if pieces else None

    def holds(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event is in it."""
        for name, scope in self.scopes.items():
            said = event.get(name)
            if said is None:
                if not scope.lacking:
                    return False
            elif not scope.having or not all(
                values.holds(_value(name, key, said)) for key, values in scope.fields.items()
            ):
                return False
        return True

    def example(self, having: Iterable[str] = ()) -> dict[str, Any]:
        """Return an event of it, as small as can be, with the objects in ``having`` where they may be had.

        Raises:
            EmptyError: there is none.
            UndecidedError: the search for one was given up.
        """
        event: dict[str, Any] = {}
        wanted = frozenset(having)
        for name in SCOPES:
            scope = self.scope(name)
            if scope.lacking and not (name in wanted and scope.possible):
                continue
            said = {key: values.example for key, values in sorted(scope.fields.items())}
            event[name] = _object(name, {key: value for key, value in said.items() if value is not None})
        return event


def _value(scope: str, key: str, said: Mapping[str, Any]) -> str | None:
    """Return the text that a clause on ``key`` looks at, or None where it is absent."""
    if scope not in LABEL_SCOPES:
        found: str | None = said.get(key)
        return found
    label: str | None = (said.get("labels") or {}).get(key)
    if label is None and scope == "namespace" and key == NAMESPACE_NAME_LABEL:
        return said.get("name")
    return label


def texts_of(event: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield every text of an event that a selector could look at: scope, field or label, text."""
    for name in SCOPES:
        said = event.get(name)
        if said is None:
            continue
        held = said if name not in LABEL_SCOPES else (said.get("labels") or {})
        yield from ((name, key, value) for key, value in held.items() if isinstance(value, str))
        if name == "namespace" and NAMESPACE_NAME_LABEL not in held and isinstance(said.get("name"), str):
            yield name, NAMESPACE_NAME_LABEL, said["name"]


def _object(scope: str, values: dict[str, str]) -> dict[str, Any]:
    if scope not in LABEL_SCOPES:
        return dict(values)
    said: dict[str, Any] = {}
    labels = dict(values)
    if scope == "namespace" and NAMESPACE_NAME_LABEL in labels:
        said["name"] = labels.pop(NAMESPACE_NAME_LABEL)
    if labels:
        said["labels"] = labels
    return said


def of_selectors(selectors: Iterable[Selector], *, not_in_takes_absent: bool, excused: bool = False) -> EventRegion:
    """Return the events that all selectors match.

    Args:
        selectors: of a policy or of an entry.
        not_in_takes_absent: the engine's ``not_in="kubernetes"``.
        excused: whether an event that lacks a selector's object gets through: policy-level selectors of an event that
            is attributed to the policy.
    """
    box = EventRegion()
    for selector in selectors:
        fields: dict[str, Values] = {}
        for clause in selector.clauses:
            values = of_clause(clause, not_in_takes_absent=not_in_takes_absent)
            fields[clause.key] = fields[clause.key] & values if clause.key in fields else values
        box &= EventRegion({selector.scope: Scope(excused, True, fields)})
    return box


def of_text(question: str) -> EventRegion:
    """Return the events that a question such as ``pod.labels.app=db`` speaks of.

    ``namespace.name``, ``SCOPE.FIELD``, ``namespace.labels.KEY`` and ``pod.labels.KEY``, each with ``=GLOB`` or by
    itself: it is there. So too a scope.

    Raises:
        ValueError: it is none.
    """
    path, equals, glob = question.partition("=")
    scope, _, rest = path.partition(".")
    if scope not in SCOPES:
        raise ValueError(f"unknown scope `{scope}`; {suggestion(scope, SCOPES)}")
    if not rest and not equals:
        return EventRegion({scope: Scope(False, True)})
    if rest.startswith("labels.") and scope in LABEL_SCOPES:
        key = rest[len("labels.") :]
    elif path == "namespace.name":
        key = NAMESPACE_NAME_LABEL
    elif scope in LABEL_SCOPES or rest not in FIELDS[scope]:
        # Selectors look at nothing else: the answer would be about every event.
        raise ValueError(f"unknown field `{path}`; {suggestion(path, _fields(scope))}")
    else:
        key = rest
    values = Values(False, True, frozenset({frozenset({glob})})) if equals else PRESENT
    return EventRegion({scope: Scope(False, True, {key: values})})


def _fields(scope: str) -> list[str]:
    if scope not in LABEL_SCOPES:
        return [f"{scope}.{key}" for key in FIELDS[scope]]
    return [*(["namespace.name"] if scope == "namespace" else []), f"{scope}.labels.KEY"]


__all__ = ["BUDGET", "EventRegion", "Scope", "of_selectors", "of_text", "present_example"]


# The entries of a policy set as boxes: for which events each fires.


@dataclass(frozen=True)
class EntryLocation:
    """An enabled entry of an enabled policy.

    Attributes:
        order: the policy's place in the set.
        policy: the policy.
        entry: the entry.
        scope: the events in the policy's scope.
        box: the events for which the entry fires, none attributed to a policy.
        attributed: those attributed to this policy for which it fires: they may lack what the policy's own selectors
            name.
    """

    order: int
    policy: Policy
    entry: Entry
    scope: EventRegion
    box: EventRegion
    attributed: EventRegion

    @property
    def name(self) -> str:
        """For people: ``web-containers: actions[0] agentKillPod``."""
        return f"{self.policy.name}: {self.entry.section}[{self.entry.index}] {self.entry.action}"

    @property
    def location(self) -> Location:
        """Where it stands."""
        return self.entry.location

    @property
    def live(self) -> str:
        """``execute`` or ``audit``, by the policy's own mode."""
        return "execute" if self.policy.mode == "enforce" else "audit"

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """The object that its action acts on, where it acts on one."""
        scope = TARGET_SCOPE.get(self.entry.action)
        return () if scope is None else (scope,)

    def attribution(self) -> dict[str, Any]:
        """Return what makes an event attributed to its policy."""
        if self.policy.uid is not None:
            return {"policy_uid": self.policy.uid}
        return {"policy_name": self.policy.name}


def places(policies: PolicySet, *, not_in_takes_absent: bool = True) -> Iterator[EntryLocation]:
    """Yield the enabled entries of enabled policies, in order."""
    for order, policy in enumerate(policies):
        if not policy.enabled:
            continue
        scope = of_selectors(policy.selectors, not_in_takes_absent=not_in_takes_absent)
        excused = of_selectors(policy.selectors, not_in_takes_absent=not_in_takes_absent, excused=True)
        for entry in policy.entries:
            if entry.enabled:
                own = of_selectors(entry.selectors, not_in_takes_absent=not_in_takes_absent)
                yield EntryLocation(order, policy, entry, scope, scope & own, excused & own)
