"""PolicySet to DecisionIndex: equal predicates and selectors stored once, and everything numbered."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from spyderresp._native.arrange import Arranger
from spyderresp._native.classes import FIRST_TEXT
from spyderresp._native.glob import literal
from spyderresp._native.index import DecisionIndex
from spyderresp._native.reader import FIELD, LABEL, NAMESPACE_NAME
from spyderresp.policy import Clause, Entry, Policy, PolicySet, Selector
from spyderresp.vocabulary import LABEL_SCOPES, NAMESPACE_NAME_LABEL, SCOPES

Defaults = Literal["always", "unless-overridden"]
NotIn = Literal["kubernetes", "documented"]
Rows = tuple["array[int]", "array[int]"]


class Options(NamedTuple):
    """What an index is compiled for, besides the policies."""

    defaults: Defaults = "always"
    not_in: NotIn = "kubernetes"
    audit: bool = False


class IndexSpec(NamedTuple):
    """Everything a DecisionIndex is made of, as tables of numbers. Rows are (start, items) arrays of int32.

    ``policies`` are the enabled ones, in order; entries are their enabled entries, policy by policy. The selectors of
    each, and the predicates of a selector, stand in their author's order. A text is named by its place among its
    attribute's ``texts``, plus two. A group is the enabled policies that bear one uid or one name; it may be empty,
    where all that bear it are disabled.
    """

    scopes: tuple[str, ...]
    attributes: tuple[tuple[int, str, int], ...]
    texts: tuple[tuple[str, ...], ...]
    globs: tuple[tuple[str, ...], ...]
    predicate_attribute: array[int]
    predicate_verdicts: bytes
    predicate_texts: Rows
    predicate_globs: Rows
    selector_scope: array[int]
    selector_predicates: Rows
    policy_selectors: Rows
    entry_selectors: Rows
    first_entry: array[int]
    uids: dict[str, int]
    names: dict[str, int]
    groups: Rows


@dataclass(frozen=True, slots=True)
class Compiled:
    """An index, with what else an explanation needs: the policies, and the place of each attribute."""

    policy_set: PolicySet
    index: DecisionIndex
    attributes: dict[tuple[str, str], int]


def compile_policies(policies: PolicySet, options: Options) -> Compiled:
    """Compile a policy set into its index."""
    enabled = tuple(
        (policy, tuple(entry for entry in policy.entries if entry.enabled)) for policy in policies if policy.enabled
    )
    builder = _Builder(enabled, options)
    arranger = Arranger(enabled, options.defaults, options.audit)
    index = DecisionIndex(builder.spec(policies), policies.digest, arranger)
    return Compiled(policies, index, builder.attributes)


class _Table:
    """Rows of numbers, one after the other."""

    def __init__(self) -> None:
        self.start = array("i", [0])
        self.items = array("i")

    def add(self, row: Iterable[int]) -> None:
        self.items.extend(row)
        self.start.append(len(self.items))

    @property
    def rows(self) -> Rows:
        return self.start, self.items


class _Builder:
    """Numbers everything once, in policy order."""

    def __init__(self, enabled: Sequence[tuple[Policy, tuple[Entry, ...]]], options: Options) -> None:
        self._absent_is_outside = options.not_in == "kubernetes"
        # The reader wants attributes grouped by scope, and a fixed order makes its errors the same in every process.
        named = sorted(_named(enabled), key=lambda name: (SCOPES.index(name[0]), name[1]))
        self.attributes = {name: place for place, name in enumerate(named)}
        self._texts: list[dict[str, int]] = [{} for _ in named]
        self._globs: list[dict[str, int]] = [{} for _ in named]
        self._literals: dict[str, str | None] = {}
        self._predicates: dict[tuple[object, ...], int] = {}
        self._predicate_attribute = array("i")
        self._predicate_verdicts = bytearray()
        self._predicate_texts = _Table()
        self._predicate_globs = _Table()
        self._selectors: dict[tuple[object, ...], int] = {}
        self._selector_scope = array("i")
        self._selector_predicates = _Table()
        self._policy_selectors = _Table()
        self._entry_selectors = _Table()
        self._first_entry = array("i", [0])
        for policy, entries in enabled:
            self._policy_selectors.add(map(self._selector, policy.selectors))
            for entry in entries:
                self._entry_selectors.add(map(self._selector, entry.selectors))
            self._first_entry.append(self._first_entry[-1] + len(entries))

    def _selector(self, selector: Selector) -> int:
        """Return the number of a selector; equal ones share it."""
        key = (selector.scope, *[(clause.key, clause.operator, clause.values) for clause in selector.clauses])
        place = self._selectors.get(key)
        if place is None:
            place = self._selectors[key] = len(self._selectors)
            self._selector_scope.append(SCOPES.index(selector.scope))
            self._selector_predicates.add([self._predicate(selector.scope, clause) for clause in selector.clauses])
        return place

    def _predicate(self, scope: str, clause: Clause) -> int:
        """Return the number of a clause's predicate; equal ones share it."""
        attribute = self.attributes[scope, clause.key]
        texts: tuple[int, ...] = ()
        globs: tuple[int, ...] = ()
        if clause.operator == "Exists":
            verdicts = (True, True, False)
        elif clause.operator == "DoesNotExist":
            verdicts = (False, False, True)
        else:
            inside = clause.operator == "In"
            verdicts = (inside, not inside, not inside and self._absent_is_outside)
            texts, globs = self._operands(attribute, clause.values)
        key = (attribute, verdicts, texts, globs)
        place = self._predicates.get(key)
        if place is None:
            place = self._predicates[key] = len(self._predicates)
            self._predicate_attribute.append(attribute)
            self._predicate_verdicts.extend(verdicts)
            self._predicate_texts.add(texts)
            self._predicate_globs.add(globs)
        return place

    def _operands(self, attribute: int, patterns: Iterable[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the numbers of exact texts and of globs, each ascending."""
        texts, globs = set(), set()
        for pattern in patterns:
            if pattern not in self._literals:
                self._literals[pattern] = literal(pattern)
            text = self._literals[pattern]
            if text is not None:
                held = self._texts[attribute]
                texts.add(held.setdefault(text, len(held)) + FIRST_TEXT)
            else:
                held = self._globs[attribute]
                globs.add(held.setdefault(pattern, len(held)))
        return tuple(sorted(texts)), tuple(sorted(globs))

    def spec(self, policies: PolicySet) -> IndexSpec:
        uids, names, groups = _groups(policies)
        return IndexSpec(
            scopes=SCOPES,
            attributes=tuple((SCOPES.index(scope), key, _kind(scope, key)) for scope, key in self.attributes),
            texts=tuple(map(tuple, self._texts)),
            globs=tuple(map(tuple, self._globs)),
            predicate_attribute=self._predicate_attribute,
            predicate_verdicts=bytes(self._predicate_verdicts),
            predicate_texts=self._predicate_texts.rows,
            predicate_globs=self._predicate_globs.rows,
            selector_scope=self._selector_scope,
            selector_predicates=self._selector_predicates.rows,
            policy_selectors=self._policy_selectors.rows,
            entry_selectors=self._entry_selectors.rows,
            first_entry=self._first_entry,
            uids=uids,
            names=names,
            groups=groups,
        )


def _groups(policies: PolicySet) -> tuple[dict[str, int], dict[str, int], Rows]:
    """Return group numbers by uid and by name, over all policies, and each group's enabled policies."""
    rows: list[list[int]] = []
    uids: dict[str, int] = {}
    names: dict[str, int] = {}
    enabled = 0
    for policy in policies:
        for groups, key in ((uids, policy.uid), (names, policy.name)):
            if key is None:
                continue
            if key not in groups:
                groups[key] = len(rows)
                rows.append([])
            if policy.enabled:
                rows[groups[key]].append(enabled)
        enabled += policy.enabled
    table = _Table()
    for row in rows:
        table.add(row)
    return uids, names, table.rows


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
