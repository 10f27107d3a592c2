"""Documents of policy tests into suites: every fault found in one pass, with its place and a fix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from spyderresp.adapters import BUILT_IN
from spyderresp.compiler import Defaults, NotIn
from spyderresp.document import DocumentError
from spyderresp.findings import Findings, TooManyFindingsError, quoted, suggestion
from spyderresp.loading import trees
from spyderresp.service.reading import Keys, Node, Reader
from spyderresp.source import Source
from spyderresp.testing.events import data_of, given, merged, read_events
from spyderresp.testing.expecting import place, read_expectation
from spyderresp.testing.model import Case, Expectation, Given, Options, Suite
from spyderresp.testing.spelling import is_normal, spelt
from spyderresp.vocabulary import TEST_API_VERSION, TEST_KIND

KEYS: Final = ("apiVersion", "kind", "name", "policies", "strict", "defaults", "not_in", "mode", "form", "tests")
_SOURCES: Final = ("event", "events", "file")
TEST_KEYS: Final = ("name", *_SOURCES, "line", "form", "expect", "rows")
_ROW_KEYS: Final = ("name", "with", "expect")


def is_test_text(text: str) -> bool:
    """Tell whether a text may hold policy tests, without reading it."""
    return TEST_KIND in text or TEST_API_VERSION in text


def read(source: Source, findings: Findings) -> list[Suite]:
    """Return the suites of a text, passing over other documents; what is wrong is recorded."""
    suites: list[Suite] = []
    before = len(findings.items)
    try:
        for tree in trees(source):
            if not tree.empty:
                found = (_document(root, source, findings) for root in _documents(Node(*tree.nodes())))
                suites += [suite for suite in found if suite is not None]
    except DocumentError as error:
        findings.unreadable(error, source)
    except TooManyFindingsError:
        pass
    findings.sort_since(before)
    return suites


def _documents(root: Node) -> list[Node]:
    """Return what a document holds: a list of documents, and ``items``, hold many, as those of policies do."""
    held = root.value
    if isinstance(held, dict) and "items" in held and getattr(Keys(root, "").get("kind"), "value", "") != TEST_KIND:
        held = held["items"][1][0]
    return [Node(*item) for item in held] if isinstance(held, list) else [root]


def _document(root: Node, source: Source, findings: Findings) -> Suite | None:
    if not isinstance(root.value, dict):
        return None
    said = Keys(root, "the document")
    version, kind = said.get("apiVersion"), said.get("kind")
    ours = version is not None and version.value == TEST_API_VERSION
    named = kind is not None and kind.value == TEST_KIND
    if not ours and not named:
        return None
    reader = Reader(source, findings, "SR7")
    if not ours or not named:
        node, key, word = (version, "apiVersion", TEST_API_VERSION) if named else (kind, "kind", TEST_KIND)
        shown = quoted(node.value) if node is not None and isinstance(node.value, str) else "nothing"
        reader.wrong("SR710", node or root, f"`{key}` of a policy test is `{word}`, not {shown}", f"write `{word}`")
        return None
    keys = reader.keys(root, "the document", KEYS)
    return None if keys is None else _Document(reader, keys).suite()


class _Events(NamedTuple):
    """Records of a test, each with its label, before they are events."""

    records: list[tuple[str, Any]]
    form: str | None


class _Document:
    """One document that is being read."""

    def __init__(self, reader: Reader, keys: Keys) -> None:
        self._reader = reader
        self._keys = keys
        self._form = reader.choice(keys, "form", BUILT_IN.names)
        self._inputs: list[str] = []

    def suite(self) -> Suite:
        reader, keys = self._reader, self._keys
        unset = Options()
        options = Options(
            strict=reader.boolean(keys, "strict", unset.strict),
            defaults=cast("Defaults", reader.choice(keys, "defaults", get_args(Defaults)) or unset.defaults),
            not_in=cast("NotIn", reader.choice(keys, "not_in", get_args(NotIn)) or unset.not_in),
            mode=cast("Literal['audit'] | None", reader.choice(keys, "mode", ("audit",))),
        )
        policies = reader.needed(keys, "policies", self._paths)
        tests = reader.needed(keys, "tests", self._tests)
        path = reader.source.path
        name = reader.given(keys, "name", reader.text) or os.path.basename(path)
        where = place(keys.node, reader)
        inputs = tuple(dict.fromkeys(self._inputs))
        return Suite(name, path, policies or (), options, tuple(tests or ()), inputs, where)

    def _paths(self, node: Node, what: str) -> tuple[str, ...]:
        items = self._reader.items(node, what)
        if isinstance(node.value, list) and not items:
            self._reader.wrong("SR702", node, "`policies` names no path")
        found = (self._reader.path(item, what) for item in items)
        return tuple(os.path.normpath(path) for path in found if path is not None)

    def _tests(self, node: Node, what: str) -> list[Case]:
        items = self._reader.items(node, what)
        if isinstance(node.value, list) and not items:
            self._reader.wrong("SR709", node, "there is no test here, so nothing can fail")
        taken: set[str] = set()
        cases: list[Case] = []
        for item in items:
            keys = self._reader.keys(item, "a test", TEST_KEYS)
            if keys is not None:
                cases += self._test(keys, taken)
        return cases

    def _test(self, keys: Keys, taken: set[str]) -> Iterator[Case]:
        reader = self._reader
        name = reader.needed(keys, "name", reader.text)
        if name is not None:
            self._unique(name, cast("Node", keys.get("name")), taken)
        events = self._events(keys)
        rows = keys.get("rows")
        node = keys.get("expect")
        expect = None if node is None else read_expectation(node, reader)
        if rows is None:
            if node is None:
                reader.wrong("SR702", keys.node, "the test has no `expect`")
            elif name is not None and events is not None and expect is not None:
                yield Case(name, self._given(events, None), expect, place(keys.node, reader))
            return
        own: set[str] = set()
        items = reader.items(rows, "rows")
        if isinstance(rows.value, list) and not items:
            reader.wrong("SR709", rows, "there is no row here, so nothing can fail")
        for number, item in enumerate(items, 1):
            row = reader.keys(item, "a row", _ROW_KEYS)
            if row is not None:
                yield from self._row(row, f"{name} / ", number, events, expect, own)

    def _row(
        self, keys: Keys, prefix: str, number: int, events: _Events | None, base: Expectation | None, taken: set[str]
    ) -> Iterator[Case]:
        reader = self._reader
        name = reader.given(keys, "name", reader.text)
        if name is not None:
            self._unique(name, cast("Node", keys.get("name")), taken)
        node = keys.get("expect")
        expect = base if node is None else read_expectation(node, reader)
        if node is None and base is None:
            reader.wrong("SR702", keys.node, "the row has no `expect`, nor has its test")
        other = keys.get("with")
        if other is not None and not isinstance(other.value, dict):
            reader.wrong("SR111", other, "`with` must be a mapping: what this row has in place of the test's event")
        if other is not None and events is not None and all(is_normal(r, events.form) for _, r in events.records):
            spelt(other, reader)
        if events is not None and expect is not None:
            shown = f"{prefix}{name or f'row {number}'}"
            yield Case(shown, self._given(events, other), expect, place(keys.node, reader))

    def _unique(self, name: str, node: Node, taken: set[str]) -> None:
        if name in taken:
            self._reader.wrong("SR708", node, f"a test named {quoted(name)} stands above", "rename one of the two")
        taken.add(name)

    def _given(self, events: _Events, other: Node | None) -> tuple[Given, ...]:
        change = None if other is None else data_of(other, self._reader.source.text)
        records = events.records if change is None else [(label, merged(r, change)) for label, r in events.records]
        alone = len(records) == 1
        return tuple(given("" if alone else label, record, events.form) for label, record in records)

    def _events(self, keys: Keys) -> _Events | None:
        reader = self._reader
        form = reader.choice(keys, "form", BUILT_IN.names) or self._form
        kinds = [word for word in keys if word in _SOURCES]
        if len(kinds) != 1:
            node = keys.key(kinds[1]) if kinds else keys.node
            reader.wrong("SR706", node, f"a test has one of `event`, `events`, `file`; here are {len(kinds)}")
            return None
        kind, node = kinds[0], cast("Node", keys.get(kinds[0]))
        if kind != "file" and keys.get("line") is not None:
            reader.wrong("SR706", keys.key("line"), "`line` is that of an event in a `file`, and there is none")
        if kind == "event":
            return _Events([("", self._record(node, form))], form)
        if kind == "events":
            items = reader.items(node, kind)
            if isinstance(node.value, list) and not items:
                reader.wrong("SR709", node, "there is no event here, so nothing can fail")
            data = (self._record(item, form) for item in items)
            return _Events([(f"events[{number}]", record) for number, record in enumerate(data)], form)
        return self._file(keys, node, form)

    def _record(self, node: Node, form: str | None) -> Any:
        record = data_of(node, self._reader.source.text)
        if is_normal(record, form):
            spelt(node, self._reader)
        return record

    def _file(self, keys: Keys, node: Node, form: str | None) -> _Events | None:
        reader = self._reader
        path = reader.path(node, "file")
        if path is None:
            return None
        self._inputs.append(path)
        records = read_events(path, node, reader)
        wanted = keys.get("line")
        if wanted is None or not records:
            return _Events(records, form)
        number = reader.count(keys, "line", 1, least=1)
        mine = [(label, record) for label, record in records if label.rpartition(":")[2] == str(number)]
        if not mine:
            near = suggestion(str(number), [label.rpartition(":")[2] for label, _ in records][:20])
            reader.wrong("SR707", wanted, f"line {number} of {quoted(path)} holds no event", near)
        return _Events(mine, form)
