"""PolicySet to DecisionIndex: equal predicates and selectors stored once, values numbered, every policy posted."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

from spyderresp._native.glob import literal
from spyderresp._native.index import DecisionIndex
from spyderresp._native.reader import FIELD, LABEL, NAMESPACE_NAME
from spyderresp.plan import Arranger, Defaults, PlanShape
from spyderresp.policy import Clause, Entry, Policy, PolicySet, Selector
from spyderresp.vocabulary import LABEL_SCOPES, NAMESPACE_NAME_LABEL, SCOPES

NotIn = Literal["kubernetes", "documented"]
Rows = tuple["array[int]", "array[int]"]

_T = TypeVar("_T", bound=Hashable)


class Options(NamedTuple):
    """What an index is compiled for, besides the policies."""

    defaults: Defaults = "always"
    not_in: NotIn = "kubernetes"
    audit: bool = False


class IndexSpec(NamedTuple):
    """Everything a DecisionIndex is made of, as immutable tables. Rows are (start, items) arrays of int32.

    ``policies`` are the enabled ones, in order; ``entries`` are their enabled entries, policy by policy. A group is the
    enabled policies that bear one uid or one name; it may be empty, where all that bear it are disabled.
    """

    scopes: tuple[str, ...]
    attributes: tuple[tuple[int, str, int], ...]
    values: tuple[tuple[str, ...], ...]
    globs: tuple[tuple[str, ...], ...]
    predicate_attribute: array[int]
    predicate_verdicts: bytes
    predicate_values: Rows
    predicate_globs: Rows
    selector_scope: array[int]
    selector_predicates: Rows
    policy_selectors: Rows
    entry_selectors: Rows
    first_entry: array[int]
    scope_posts: Rows
    value_posts: tuple[Rows, ...]
    glob_posts: tuple[Rows, ...]
    group_of_uid: dict[str, int]
    group_of_name: dict[str, int]
    groups: Rows


@dataclass(frozen=True, slots=True)
class Compiled:
    """An index, with what an explanation needs to find a clause's verdict in a trace.

    ``selectors`` and ``clauses`` lead from a selector or clause, by identity, to its place in the index.
    """

    policy_set: PolicySet
    index: DecisionIndex
    policies: tuple[tuple[Policy, tuple[Entry, ...]], ...]
    attributes: dict[tuple[str, str], int]
    selector_place: Callable[[Selector], int]
    clause_place: Callable[[Selector, Clause], int]


def compile_policies(policies: PolicySet, options: Options) -> Compiled:
    """Compile a policy set into its index."""
    enabled = tuple(
        (policy, tuple(entry for entry in policy.entries if entry.enabled)) for policy in policies if policy.enabled
    )
    builder = _Builder(enabled, options)
    arranger = Arranger(enabled, options.defaults, audit=options.audit)
    index = DecisionIndex(builder.spec(policies), policies.digest, _shapes(arranger))
    return Compiled(policies, index, enabled, builder.attributes.places, builder.selector_place, builder.clause_place)


def _shapes(arranger: Arranger) -> Callable[[bytes], PlanShape]:
    pod, process = SCOPES.index("pod"), SCOPES.index("process")

    def shape(key: bytes) -> PlanShape:
        present, count, *places = memoryview(key).cast("i")
        return arranger.shape(
            places[:count], places[count:], pod=bool(present >> pod & 1), process=bool(present >> process & 1)
        )

    return shape


class _Numbered(Generic[_T]):
    """Numbers distinct things in the order of their first appearance."""

    def __init__(self) -> None:
        self.places: dict[_T, int] = {}

    def __call__(self, thing: _T) -> int:
        return self.places.setdefault(thing, len(self.places))

    def __iter__(self) -> Iterator[_T]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


class _Predicate(NamedTuple):
    """A condition on one attribute: the verdicts on a value that matches, on any other, and on absence."""

    attribute: int
    match: bool
    other: bool
    absent: bool
    values: tuple[int, ...]
    globs: tuple[int, ...]

    @property
    def exact(self) -> bool:
        """Whether only named values satisfy it, globs apart."""
        return bool(self.values or self.globs) and self.match and not self.other and not self.absent


def _rows(rows: Iterable[Iterable[int]]) -> Rows:
    start, items = array("i", [0]), array("i")
    for row in rows:
        items.extend(row)
        start.append(len(items))
    return start, items


class _Posts:
    """Which policies to look at for each value, glob and scope."""

    def __init__(self, values: Sequence[int], globs: Sequence[int]) -> None:
        self.values: list[list[list[int]]] = [[[] for _ in range(count)] for count in values]
        self.globs: list[list[list[int]]] = [[[] for _ in range(count)] for count in globs]
        self.scopes: list[list[int]] = [[] for _ in SCOPES]


class _Builder:
    """Numbers everything once, in policy order; then posts every policy under its pivot."""

    def __init__(self, enabled: Sequence[tuple[Policy, tuple[Entry, ...]]], options: Options) -> None:
        self._enabled = enabled
        self._absent_is_outside = options.not_in == "kubernetes"
        self.attributes: _Numbered[tuple[str, str]] = _Numbered()
        # The reader wants attributes grouped by scope, and a fixed order makes its errors the same in every process.
        for name in sorted(_named(enabled), key=lambda name: (SCOPES.index(name[0]), name[1])):
            self.attributes(name)
        self._values: list[_Numbered[str]] = [_Numbered() for _ in self.attributes]
        self._globs: list[_Numbered[str]] = [_Numbered() for _ in self.attributes]
        self._patterns: dict[str, str | None] = {}
        self._predicates: _Numbered[_Predicate] = _Numbered()
        self._selectors: _Numbered[tuple[int, tuple[int, ...]]] = _Numbered()
        self._policy_selectors = [self._places(policy.selectors) for policy, _ in enabled]
        self._entry_selectors = [self._places(entry.selectors) for _, entries in enabled for entry in entries]

    def _places(self, selectors: Iterable[Selector]) -> list[int]:
        return list(dict.fromkeys(self.selector_place(selector) for selector in selectors))

    def selector_place(self, selector: Selector) -> int:
        """Return the number of a selector; equal ones share it."""
        predicates = tuple(sorted({self.clause_place(selector, clause) for clause in selector.clauses}))
        return self._selectors((SCOPES.index(selector.scope), predicates))

    def clause_place(self, selector: Selector, clause: Clause) -> int:
        """Return the number of a clause's predicate; equal ones share it."""
        attribute = self.attributes.places[selector.scope, clause.key]
        if clause.operator == "Exists":
            return self._predicates(_Predicate(attribute, True, True, False, (), ()))
        if clause.operator == "DoesNotExist":
            return self._predicates(_Predicate(attribute, False, False, True, (), ()))
        values, globs = set(), set()
        for pattern in clause.values:
            text = self._literal(pattern)
            if text is not None:
                values.add(self._values[attribute](text))
            else:
                globs.add(self._globs[attribute](pattern))
        inside = clause.operator == "In"
        absent = not inside and self._absent_is_outside
        names = tuple(sorted(values)), tuple(sorted(globs))
        return self._predicates(_Predicate(attribute, inside, not inside, absent, *names))

    def _literal(self, pattern: str) -> str | None:
        if pattern not in self._patterns:
            self._patterns[pattern] = literal(pattern)
        return self._patterns[pattern]

    def spec(self, policies: PolicySet) -> IndexSpec:
        predicates, selectors = list(self._predicates), list(self._selectors)
        posts = self._post(predicates, selectors)
        by_uid, by_name, groups = self._groups(policies)
        first = array("i", [0])
        for _, entries in self._enabled:
            first.append(first[-1] + len(entries))
        return IndexSpec(
            scopes=SCOPES,
            attributes=tuple((SCOPES.index(scope), key, _kind(scope, key)) for scope, key in self.attributes),
            values=tuple(tuple(values) for values in self._values),
            globs=tuple(tuple(globs) for globs in self._globs),
            predicate_attribute=array("i", [predicate.attribute for predicate in predicates]),
            predicate_verdicts=bytes(
                verdict for predicate in predicates for verdict in (predicate.match, predicate.other, predicate.absent)
            ),
            predicate_values=_rows(predicate.values for predicate in predicates),
            predicate_globs=_rows(predicate.globs for predicate in predicates),
            selector_scope=array("i", [scope for scope, _ in selectors]),
            selector_predicates=_rows(places for _, places in selectors),
            policy_selectors=_rows(self._policy_selectors),
            entry_selectors=_rows(self._entry_selectors),
            first_entry=first,
            scope_posts=_rows(posts.scopes),
            value_posts=tuple(_rows(rows) for rows in posts.values),
            glob_posts=tuple(_rows(rows) for rows in posts.globs),
            group_of_uid=by_uid,
            group_of_name=by_name,
            groups=groups,
        )

    def _post(self, predicates: list[_Predicate], selectors: list[tuple[int, tuple[int, ...]]]) -> _Posts:
        """Post every policy where any event that it applies to is sure to look.

        Sound because the pivot is one of the policy's own predicates, all of which must hold; an attributed event, for
        which they need not, does not look here but in its group. Held by tests/property/test_index.py.
        """
        pivots = [
            [predicates[place] for selector in places for place in selectors[selector][1]]
            for places in self._policy_selectors
        ]
        use = Counter((p.attribute, value) for pivot in pivots for p in pivot if p.exact for value in p.values)
        posts = _Posts([len(values) for values in self._values], [len(globs) for globs in self._globs])
        for policy, candidates in enumerate(pivots):
            exact = [predicate for predicate in candidates if predicate.exact]
            if not exact:
                scope, _ = selectors[self._policy_selectors[policy][0]]
                posts.scopes[scope].append(policy)
                continue
            # The rarest: no globs where possible, then the value that fewest policies name.
            pivot = min(exact, key=lambda p: (bool(p.globs), max((use[p.attribute, v] for v in p.values), default=0)))
            for value in pivot.values:
                posts.values[pivot.attribute][value].append(policy)
            for glob in pivot.globs:
                posts.globs[pivot.attribute][glob].append(policy)
        return posts

    def _groups(self, policies: PolicySet) -> tuple[dict[str, int], dict[str, int], Rows]:
        """Return group numbers by uid and by name, over all policies, and each group's enabled policies."""
        rows: list[list[int]] = []
        by_uid: dict[str, int] = {}
        by_name: dict[str, int] = {}
        enabled = 0
        for policy in policies:
            for groups, key in ((by_uid, policy.uid), (by_name, policy.name)):
                if key is None:
                    continue
                if key not in groups:
                    groups[key] = len(rows)
                    rows.append([])
                if policy.enabled:
                    rows[groups[key]].append(enabled)
            enabled += policy.enabled
        return by_uid, by_name, _rows(rows)


def _named(enabled: Iterable[tuple[Policy, tuple[Entry, ...]]]) -> set[tuple[str, str]]:
    selectors = (
        selector
        for policy, entries in enabled
        for held in (policy.selectors, *(entry.selectors for entry in entries))
        for selector in held
    )
    return {(selector.scope, clause.key) for selector in selectors for clause in selector.clauses}


def _kind(scope: str, key: str) -> int:
    if scope == "namespace" and key == NAMESPACE_NAME_LABEL:
        return NAMESPACE_NAME
    return LABEL if scope in LABEL_SCOPES else FIELD
