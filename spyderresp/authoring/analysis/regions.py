"""Regions: sets of events for which all of some selectors match.

Selectors and clauses are joined by AND, and the alternatives of a clause concern one field. So a region is a product of
sets: one set of values for each field. Questions about regions become questions about one field at a time.
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

# Sets of values of one field or label.


@dataclass(frozen=True, slots=True)
class Values:
    """A set of values of one field or label. Absence counts as a value.

    Attributes:
        absent: whether the field may be absent.
        present: whether the field may have a value.
        any_of: groups of globs: a value must match a glob of each group.
        none_of: the globs that a value must not match.
    """

    absent: bool = True
    present: bool = True
    any_of: frozenset[frozenset[str]] = field(default_factory=frozenset)
    none_of: frozenset[str] = field(default_factory=frozenset)

    def __and__(self, other: Values) -> Values:
        """Return the values that are in both sets."""
        return Values(
            self.absent and other.absent,
            self.present and other.present,
            self.any_of | other.any_of,
            self.none_of | other.none_of,
        )

    def minus(self, other: Values) -> Iterator[Values]:
        """Yield disjoint sets that together contain the values of this set that are not in the other."""
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

    def contains(self, value: str | None) -> bool:
        """Return whether a value is in the set; None stands for absence."""
        if value is None:
            return self.absent
        return (
            self.present
            and all(any(matches(value, glob) for glob in group) for group in self.any_of)
            and not any(matches(value, glob) for glob in self.none_of)
        )

    @property
    def example(self) -> str | None:
        """A value of the set; None stands for absence.

        Raises:
            EmptyError: the set is empty.
            UndecidedError: the search for a value was given up.
        """
        if self.absent:
            return None
        text = present_example(self)
        if text is None:
            raise EmptyError
        return text

    @property
    def empty(self) -> bool:
        """Whether the set is empty.

        Raises:
            UndecidedError: the search was given up.
        """
        return not self.absent and present_example(self) is None


class EmptyError(SpyderrespError):
    """A set has no example, because it is empty."""


ANYTHING: Final = Values()
ABSENT: Final = Values(True, False)
PRESENT: Final = Values(False, True)


@lru_cache(maxsize=200_000)
def present_example(values: Values) -> str | None:
    """Return a text of a set; None if the set contains no text.

    Raises:
        UndecidedError: the search was given up.
    """
    if not values.present:
        return None
    return find(tuple(sorted(values.any_of, key=sorted)), values.none_of)


def of_clause(clause: Clause, *, not_in_takes_absent: bool) -> Values:
    """Return the values that a clause matches."""
    if clause.operator == "Exists":
        return PRESENT
    if clause.operator == "DoesNotExist":
        return ABSENT
    if clause.operator == "In":
        return Values(False, True, frozenset({frozenset(clause.values)}))
    return Values(not_in_takes_absent, True, none_of=frozenset(clause.values))


#: The most regions that a question about a union makes before it gives up.
BUDGET: Final = 20_000


@dataclass(frozen=True, slots=True)
class Scope:
    """A set of values of one scope of an event, such as its pod. Absence counts as a value.

    Attributes:
        absent: whether the event may lack the scope.
        present: whether the event may have the scope.
        fields: the values of each field or label, if the scope is present. A field that is not listed is unrestricted.
    """

    absent: bool = True
    present: bool = True
    fields: Mapping[str, Values] = field(default_factory=dict)

    def __and__(self, other: Scope) -> Scope:
        """Return the values that are in both sets."""
        fields = dict(self.fields)
        for key, values in other.fields.items():
            fields[key] = fields[key] & values if key in fields else values
        return Scope(self.absent and other.absent, self.present and other.present, fields)

    @property
    def empty(self) -> bool:
        """Whether the set is empty."""
        return not self.absent and not self.can_be_present

    @property
    def can_be_present(self) -> bool:
        """Whether the set contains a value other than absence."""
        return self.present and not any(values.empty for values in self.fields.values())


_FREE: Final = Scope()


@dataclass(frozen=True, slots=True)
class EventRegion:
    """A set of events.

    Attributes:
        scopes: the values of each scope. A scope that is not listed is unrestricted.
    """

    scopes: Mapping[str, Scope] = field(default_factory=dict)

    def scope(self, name: str) -> Scope:
        """Return the values of one scope."""
        return self.scopes.get(name, _FREE)

    def __and__(self, other: EventRegion) -> EventRegion:
        """Return the events that are in both regions."""
        scopes = dict(self.scopes)
        for name, scope in other.scopes.items():
            scopes[name] = scopes[name] & scope if name in scopes else scope
        return EventRegion(scopes)

    def _with(self, name: str, scope: Scope) -> EventRegion:
        return EventRegion({**self.scopes, name: scope})

    @property
    def empty(self) -> bool:
        """Whether no event is in the region.

        Raises:
            UndecidedError: the search for an event was given up.
        """
        return any(scope.empty for scope in self.scopes.values())

    def minus(self, other: EventRegion) -> Iterator[EventRegion]:
        """Yield disjoint regions that together contain the events of this region that are not in the other."""
        rest = self
        for name in SCOPES:
            theirs = other.scopes.get(name)
            if theirs is None:
                continue
            mine = rest.scope(name)
            if mine.absent and not theirs.absent:
                yield rest._with(name, Scope(True, False))
                mine = replace(mine, absent=False)
            if mine.present:
                if not theirs.present:
                    yield rest._with(name, replace(mine, absent=False))
                    mine = Scope(mine.absent, False)
                else:
                    inside = dict(mine.fields)
                    for key in sorted(theirs.fields):
                        for part in inside.get(key, ANYTHING).minus(theirs.fields[key]):
                            yield rest._with(name, Scope(False, True, {**inside, key: part}))
                        inside[key] = inside.get(key, ANYTHING) & theirs.fields[key]
                    mine = Scope(mine.absent, True, inside)
            rest = rest._with(name, mine)

    def within(self, others: Iterable[EventRegion], *, budget: int = BUDGET) -> EventRegion | None:
        """Return a region of this region's events that are in none of the others; None if the others cover this region.

        Raises:
            UndecidedError: more than ``budget`` regions would have to be made.
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

    def contains(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event is in the region."""
        for name, scope in self.scopes.items():
            value = event.get(name)
            if value is None:
                if not scope.absent:
                    return False
            elif not scope.present or not all(
                values.contains(_text(name, key, value)) for key, values in scope.fields.items()
            ):
                return False
        return True

    def example(self, with_scopes: Iterable[str] = ()) -> dict[str, Any]:
        """Return a small event of the region. It has the scopes ``with_scopes``, as far as the region allows.

        Raises:
            EmptyError: the region is empty.
            UndecidedError: the search for an event was given up.
        """
        event: dict[str, Any] = {}
        names = frozenset(with_scopes)
        for name in SCOPES:
            scope = self.scope(name)
            if scope.absent and not (name in names and scope.can_be_present):
                continue
            texts = {key: values.example for key, values in sorted(scope.fields.items())}
            event[name] = _scope_value(name, {key: text for key, text in texts.items() if text is not None})
        return event


def _text(scope: str, key: str, value: Mapping[str, Any]) -> str | None:
    """Return the text of a scope's value that a clause on ``key`` compares; None if it is absent."""
    if scope not in LABEL_SCOPES:
        text: str | None = value.get(key)
        return text
    label: str | None = (value.get("labels") or {}).get(key)
    if label is None and scope == "namespace" and key == NAMESPACE_NAME_LABEL:
        return value.get("name")
    return label


def texts_of(event: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield every text of an event that a selector can compare, each as scope, field or label, and text."""
    for name in SCOPES:
        value = event.get(name)
        if value is None:
            continue
        texts = value if name not in LABEL_SCOPES else (value.get("labels") or {})
        yield from ((name, key, text) for key, text in texts.items() if isinstance(text, str))
        if name == "namespace" and NAMESPACE_NAME_LABEL not in texts and isinstance(value.get("name"), str):
            yield name, NAMESPACE_NAME_LABEL, value["name"]


def _scope_value(scope: str, texts: dict[str, str]) -> dict[str, Any]:
    """Return the value of a scope with these fields or labels."""
    if scope not in LABEL_SCOPES:
        return dict(texts)
    value: dict[str, Any] = {}
    labels = dict(texts)
    if scope == "namespace" and NAMESPACE_NAME_LABEL in labels:
        value["name"] = labels.pop(NAMESPACE_NAME_LABEL)
    if labels:
        value["labels"] = labels
    return value


def of_selectors(selectors: Iterable[Selector], *, not_in_takes_absent: bool, excused: bool = False) -> EventRegion:
    """Return the events that all selectors match.

    Args:
        selectors: the selectors of a policy or of an entry.
        not_in_takes_absent: whether ``NotIn`` matches an absent key, as with the engine's ``not_in="kubernetes"``.
        excused: whether a selector also matches if the event lacks its scope. This holds for the selectors of a policy
            and an event that is attributed to the policy.
    """
    region = EventRegion()
    for selector in selectors:
        fields: dict[str, Values] = {}
        for clause in selector.clauses:
            values = of_clause(clause, not_in_takes_absent=not_in_takes_absent)
            fields[clause.key] = fields[clause.key] & values if clause.key in fields else values
        region &= EventRegion({selector.scope: Scope(excused, True, fields)})
    return region


def of_text(question: str) -> EventRegion:
    """Return the events that a question such as ``pod.labels.app=db`` describes.

    A question is ``namespace.name``, ``SCOPE.FIELD``, ``namespace.labels.KEY`` or ``pod.labels.KEY``, with ``=GLOB``;
    or one of these or a scope without a glob: it is present.

    Raises:
        ValueError: the question has another form, or names an unknown scope or field.
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
        # Selectors cannot name other fields, so the answer would concern all events.
        raise ValueError(f"unknown field `{path}`; {suggestion(path, _fields(scope))}")
    else:
        key = rest
    values = Values(False, True, frozenset({frozenset({glob})})) if equals else PRESENT
    return EventRegion({scope: Scope(False, True, {key: values})})


def _fields(scope: str) -> list[str]:
    if scope not in LABEL_SCOPES:
        return [f"{scope}.{key}" for key in FIELDS[scope]]
    return [*(["namespace.name"] if scope == "namespace" else []), f"{scope}.labels.KEY"]


# The entries of a policy set, each with the region of the events for which it fires.


@dataclass(frozen=True)
class EntryRegions:
    """An enabled entry of an enabled policy, and the events for which it fires.

    Attributes:
        order: the position of the policy in the set.
        policy: the policy.
        entry: the entry.
        scope: the events in the scope of the policy.
        region: the events for which the entry fires and that are not attributed to a policy.
        attributed: the events for which the entry fires and that are attributed to this policy. They may lack a scope
            that the policy selects by.
    """

    order: int
    policy: Policy
    entry: Entry
    scope: EventRegion
    region: EventRegion
    attributed: EventRegion

    @property
    def action(self) -> str:
        """The action of the entry."""
        return self.entry.action

    @property
    def label(self) -> str:
        """The entry in messages: ``actions[0] agentKillPod``."""
        return f"{self.entry.section}[{self.entry.index}] {self.entry.action}"

    @property
    def name(self) -> str:
        """The entry with its policy in messages: ``web-containers: actions[0] agentKillPod``."""
        return f"{self.policy.name}: {self.label}"

    @property
    def location(self) -> Location:
        """The location of the entry."""
        return self.entry.location

    @property
    def enforced(self) -> bool:
        """Whether the policy is in ``enforce`` mode, so that the action is executed and not only audited."""
        return self.policy.mode == "enforce"

    @cached_property
    def target_scopes(self) -> tuple[str, ...]:
        """The scope that the action acts on, if it acts on one."""
        scope = TARGET_SCOPE.get(self.entry.action)
        return () if scope is None else (scope,)

    def attribution(self) -> dict[str, Any]:
        """Return the keys of an event that attribute the event to the policy."""
        if self.policy.uid is not None:
            return {"policy_uid": self.policy.uid}
        return {"policy_name": self.policy.name}


def entries_of(policies: PolicySet, *, not_in_takes_absent: bool = True) -> Iterator[EntryRegions]:
    """Yield the enabled entries of enabled policies, in order."""
    for order, policy in enumerate(policies):
        if not policy.enabled:
            continue
        scope = of_selectors(policy.selectors, not_in_takes_absent=not_in_takes_absent)
        excused = of_selectors(policy.selectors, not_in_takes_absent=not_in_takes_absent, excused=True)
        for entry in policy.entries:
            if entry.enabled:
                own = of_selectors(entry.selectors, not_in_takes_absent=not_in_takes_absent)
                yield EntryRegions(order, policy, entry, scope, scope & own, excused & own)
