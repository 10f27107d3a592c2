"""Selector nodes to Selectors: primitives, fields, labels, expressions, and their lenient repair."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final, cast

from spyderresp.checking import Checker
from spyderresp.document import Mapping, Node, Scalar, Sequence
from spyderresp.findings import listed, quoted, suggestion
from spyderresp.policy import Clause, Operator, Selector
from spyderresp.vocabulary import FIELD_ALIASES, FIELDS, LABEL_SCOPES, OPERATORS

_FIELD_PRIMITIVES: Final = ("matchFields", "matchFieldsExpressions")
_LABEL_PRIMITIVES: Final = ("matchLabels", "matchExpressions")
_ALL_PRIMITIVES: Final = (*_FIELD_PRIMITIVES, *_LABEL_PRIMITIVES)
_EXPRESSION_KEYS: Final = ("key", "operator", "values")


def read_selector(check: Checker, key: Scalar, node: Node, scope: str) -> Selector | None:
    """Return the selector under ``key``, or None after recording at least one error."""
    return _SelectorReader(check, key, scope).read(node)


class _SelectorReader:
    def __init__(self, check: Checker, key: Scalar, scope: str) -> None:
        self._check = check
        self._key = key
        self._name = key.text or ""
        self._scope = scope
        self._labels = scope in LABEL_SCOPES
        self._primitives = _LABEL_PRIMITIVES if self._labels else _FIELD_PRIMITIVES
        self._before = check.findings.errors

    def read(self, node: Node) -> Selector | None:
        if isinstance(node, Scalar) and node.text is None:
            self._empty()
            return None
        mapping = self._check.mapping(node, self._name)
        if mapping is None:
            return None
        clauses: list[Clause] = []
        for key, value in mapping.pairs():
            clauses.extend(self._entry(key, value))
        if self._check.findings.errors > self._before:
            return None
        if not clauses:
            self._empty()
            return None
        return Selector(self._scope, tuple(clauses), self._check.location(self._key))

    def _empty(self) -> None:
        self._check.error(
            "SR201", self._key, f"{quoted(self._name)} is empty", help="name what it selects, or leave it out"
        )

    def _entry(self, key: Scalar, value: Node) -> Iterator[Clause]:
        """Yield the clauses of one key of the selector: a primitive, or a field or label directly under it."""
        word = key.text or ""
        if word == self._primitives[0]:
            yield from self._matches(word, value)
        elif word == self._primitives[1]:
            yield from self._expressions(word, value)
        elif word in _ALL_PRIMITIVES:
            self._check.error("SR202", key, f"{quoted(self._name)} takes no `{word}`", help=self._primitive_help())
        elif self._labels:
            yield from self._bare_label(key, value)
        else:
            yield from self._bare_field(key, value)

    def _primitive_help(self) -> str:
        if self._labels:
            return f"it selects by label: {listed(self._primitives)}"
        return f"it takes {listed(self._primitives)} on {listed(FIELDS[self._scope])}"

    def _bare_field(self, key: Scalar, value: Node) -> Iterator[Clause]:
        word = key.text or ""
        field = FIELD_ALIASES.get((self._scope, word), word)
        if field in FIELDS[self._scope]:
            yield from self._match(self._name, key, field, value)
            return
        near = suggestion(word, (*self._primitives, *FIELDS[self._scope]))
        self._check.error("SR203", key, f"unknown key {quoted(word)} in {quoted(self._name)}", help=near)

    def _bare_label(self, key: Scalar, value: Node) -> Iterator[Clause]:
        word = key.text or ""
        near = difflib.get_close_matches(
            word[:200].lower(), [name.lower() for name in _ALL_PRIMITIVES], n=1, cutoff=0.8
        )
        shaped = isinstance(value, Scalar) or (
            isinstance(value, Sequence) and all(isinstance(item, Scalar) for item in value)
        )
        if near or not shaped:
            # A misspelt primitive must not become a label.
            hint = suggestion(word, self._primitives)
            self._check.error("SR202", key, f"unknown primitive {quoted(word)} in {quoted(self._name)}", help=hint)
            return
        clauses = tuple(self._match(self._name, key, word, value))
        if clauses:
            fixed = f"matchLabels: {{{word}: {', '.join(clauses[0].values)}}}"
            message = f"the label {quoted(word)} stands directly under {quoted(self._name)}; read as `matchLabels`"
            self._check.error("SR402", key, message, help=f"write {quoted(fixed)}")
        yield from clauses

    def _matches(self, primitive: str, value: Node) -> Iterator[Clause]:
        """Yield the clauses of ``matchFields`` or ``matchLabels``; null means empty."""
        if isinstance(value, Scalar) and value.text is None:
            return
        mapping = self._check.mapping(value, primitive)
        if mapping is None:
            return
        for key, item in mapping.pairs():
            if self._known(key, key.text or ""):
                yield from self._match(primitive, key, key.text or "", item)

    def _known(self, node: Node, field: str) -> bool:
        if self._labels or field in FIELDS[self._scope]:
            return True
        message = f"{quoted(self._name)} has no field {quoted(field)}"
        hint = suggestion(field, FIELDS[self._scope])
        if hint.startswith("did"):
            hint += f" its fields are {listed(FIELDS[self._scope])}"
        self._check.error("SR203", node, message, hint)
        return False

    def _match(self, primitive: str, key: Scalar, field: str, value: Node) -> Iterator[Clause]:
        """Yield the clause of one field or label with its value or list of values."""
        if isinstance(value, Sequence):
            texts = self._values(value, field)
        else:
            text = self._check.text(value, field)
            texts = None if text is None else (text,)
        if texts is not None:
            yield Clause(field, "In", texts, primitive, self._check.location(key))

    def _values(self, value: Sequence, what: str) -> tuple[str, ...] | None:
        if not value.items:
            self._check.error(
                "SR210", value, f"the list of values of {quoted(what)} is empty", help="name at least one"
            )
            return None
        texts = [self._check.text(item, what) for item in value]
        good = tuple(text for text in texts if text is not None)
        return good if len(good) == len(texts) else None

    def _expressions(self, primitive: str, value: Node) -> Iterator[Clause]:
        for item in self._check.items(value, primitive) or ():
            mapping = self._check.mapping(item, f"an item of {primitive}")
            if mapping is not None:
                yield from self._expression(primitive, mapping)

    def _expression(self, primitive: str, mapping: Mapping) -> Iterator[Clause]:
        check = self._check
        check.keys(mapping, _EXPRESSION_KEYS, "SR204", "an expression")
        key_node, operator_node = mapping.get("key"), mapping.get("operator")
        key = operator = None
        if key_node is None:
            check.error("SR205", mapping, "the expression has no `key`", help="name the field or label it is about")
        else:
            key = check.text(key_node, "key")
            if key is not None and not self._known(key_node, key):
                key = None
        if operator_node is None:
            check.error("SR206", mapping, "the expression has no `operator`", help=f"valid here: {listed(OPERATORS)}")
        else:
            operator = check.choice(operator_node, "operator", OPERATORS, "SR207")
        if operator is None:
            return
        values = self._operands(mapping, cast(Operator, operator))
        if key is not None and values is not None:
            yield Clause(key, cast(Operator, operator), values, primitive, check.location(mapping))

    def _operands(self, mapping: Mapping, operator: Operator) -> tuple[str, ...] | None:
        """Return the operator's values, or None after recording what is wrong with them."""
        node = mapping.get("values")
        items = self._check.items(node, "values")
        if items is None:
            return None
        if operator in ("In", "NotIn"):
            if isinstance(node, Sequence) and items:
                return self._values(node, "values")
            where: Node = node if node is not None else mapping
            self._check.error("SR208", where, f"`{operator}` needs a list of values that is not empty")
            return None
        if items and node is not None:
            self._check.error("SR209", node, f"`{operator}` takes no values", help="leave `values` out, or use `In`")
            return None
        return ()
