"""Reads suites from policy-test files: one pass reports every fault, with its place and a fix."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from spyderresp.authoring.testing.suite import (
    Case,
    CaseEvent,
    Expectation,
    ExpectedAction,
    ExpectedError,
    ExpectedName,
    How,
    Options,
    Suite,
)
from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.errors import Diagnostic, EventError, Location
from spyderresp.events.formats import BUILT_IN
from spyderresp.events.json_decoder import decode_event
from spyderresp.events.records import converted
from spyderresp.policies.diagnostics import Findings, Source, TooManyFindingsError, quoted, suggestion
from spyderresp.policies.document_limits import DocumentError
from spyderresp.policies.document_reader import Keys, Node, Reader
from spyderresp.policies.loader import read_source, trees, walk
from spyderresp.policies.vocabulary import (
    ACTIONS,
    FLAG_TEXTS,
    TEST_API_VERSION,
    TEST_KIND,
    Disposition,
    Outcome,
    Section,
)

# The events of policy tests: written in the test, or read from a JSON file.

_ANCHOR: Final = re.compile(r"&\S+\s+")
_JSON: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false", re.ASCII)


def data_of(node: Node, text: str) -> Any:
    """Return a value as JSON data. An unquoted number or boolean of JSON is one; any other scalar is a text.

    For example, ``pid: 4242`` is a number; ``007``, ``no`` and ``"4242"`` are texts.
    """
    value = node.value
    if isinstance(value, dict):
        return {key: data_of(Node(*pair[1]), text) for key, pair in value.items()}
    if isinstance(value, list):
        return [data_of(Node(*item), text) for item in value]
    if value is None or not _JSON.fullmatch(value):
        return value
    if _ANCHOR.sub("", text[node.start : node.end], count=1) != value:
        return value
    try:
        return json.loads(value)
    except ValueError:
        # Python does not read numbers with that many digits.
        return value


def merged(record: Any, other: Any) -> Any:
    """Return a record with the changes of another one: a JSON merge patch (RFC 7396), in which null deletes a key.

    If the record is an error, return the error.
    """
    if isinstance(record, EventError) or not isinstance(other, Mapping):
        return record if isinstance(record, EventError) else other
    if not isinstance(record, Mapping):
        record = {}
    result = {key: value for key, value in record.items() if key not in other or other[key] is not None}
    for key, value in other.items():
        if value is not None:
            result[key] = merged(record.get(key), value) if isinstance(value, Mapping) else value
    return result


def case_event(label: str, record: Any, form: str | None) -> CaseEvent:
    """Return the event of a record, or its error."""
    if isinstance(record, EventError):
        return CaseEvent(label, None, record)
    try:
        return CaseEvent(label, converted(record, form))
    except EventError as error:
        return CaseEvent(label, None, error)


def read_events(path: str, node: Node, reader: Reader) -> list[tuple[str, Any]]:
    """Return the records of a file, each with a label. A record that is not JSON is an EventError.

    A file named ``*.json`` contains one JSON value, which may be a list of records. Other files contain JSON lines.
    """
    if not os.path.exists(path):
        reader.wrong("SR707", node, f"there is no file {quoted(path)}", _nearest_file(path))
        return []
    findings = Findings()
    source = read_source(path, findings)
    if source is None:
        reader.wrong("SR707", node, f"events cannot be read from {quoted(path)}: {findings.items[0].message}")
        return []
    name = os.path.basename(path)
    records = list(_whole(source.text, name) if path.endswith(".json") else _lines(source.text, name))
    if not records:
        reader.wrong("SR707", node, f"there is no event in {quoted(path)}")
    return records


def _nearest_file(path: str) -> str:
    folder = os.path.dirname(path) or "."
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".json", ".jsonl", ".ndjson")))
    except (OSError, ValueError):
        return f"there is no directory `{folder}`; paths are relative to the folder of the test file"
    return suggestion(os.path.basename(path), names) if names else f"there is no file of events in `{folder}`"


def _whole(text: str, name: str) -> Iterator[tuple[str, Any]]:
    try:
        value = decode_event(text)
    except EventError as error:
        value = error
    if isinstance(value, list):
        yield from ((f"{name}[{index}]", record) for index, record in enumerate(value))
    else:
        yield name, value


def _lines(text: str, name: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line and not line.isspace():
            try:
                yield f"{name}:{number}", decode_event(line)
            except EventError as error:
                yield f"{name}:{number}", error


# The expectation of a test.

# The keys of a plan's JSON form whose values are compared unchanged.
_REST: Final = ("version", "event", "policy_set", "target", "attribution")
EXPECT_KEYS: Final = ("plan", "actions", "none_of", "policies", "error", *_REST)
_SOURCE_KEYS: Final = ("policy", "section", "index", "uid")
ACTION_KEYS: Final = (
    "action",
    "parameters",
    "disposition",
    *_SOURCE_KEYS,
    "sources",
    "superseded_by",
    "reason",
)
_PARAMETERS: Final = ("severity", *FLAG_TEXTS, "priority")


def read_expectation(node: Node, reader: Reader) -> Expectation | None:
    """Return the expectation of a test; None after recording why it cannot be read."""
    where = location_of(node, reader)
    if isinstance(node.value, list):
        return Expectation("exactly", _actions(node, "expect", reader), (), None, {}, None, where)
    if isinstance(node.value, str):
        help_ = f"write `[{node.value}]`" if node.value in ACTIONS else ""
        reader.wrong("SR111", node, "`expect` must be a list of actions or a mapping, not a text", help_)
        return None
    keys = reader.keys(node, "`expect`", EXPECT_KEYS)
    if keys is None:
        return None
    how = cast("How", reader.choice(keys, "plan", get_args(How)) or "exactly")
    actions = reader.given(keys, "actions", lambda item, key: _actions(item, key, reader))
    none_of = reader.given(keys, "none_of", lambda item, key: _actions(item, key, reader)) or ()
    rest = {key: _rest(key, item, reader) for key in _REST if (item := keys.get(key)) is not None}
    policies = reader.given(keys, "policies", lambda item, key: tuple(_names(reader.items(item, key), reader)))
    error = reader.given(keys, "error", lambda item, _: _error(item, reader))
    expectation = Expectation(how, actions, none_of, policies, rest, error, where)
    _require_can_fail(keys, expectation, reader)
    return expectation


def location_of(node: Node, reader: Reader) -> Location:
    """Return the location of a node."""
    return Location(reader.source.path, *reader.source.position(node.start))


def _require_can_fail(keys: Keys, expectation: Expectation, reader: Reader) -> None:
    """Report an expectation that no plan can fail, or that contradicts itself."""
    how, actions = expectation.how, expectation.actions
    if expectation.error is not None:
        others = [key for key in keys if key not in ("error", "plan")]
        if others:
            reader.wrong("SR709", keys.key(others[0]), "an event with an error has no plan", "delete one of the two")
    elif how != "exactly" and actions is None:
        reader.wrong("SR709", keys.key("plan"), f"`plan: {how}` compares `actions`, and there are none")
    elif how == "contains" and not actions:
        hint = "`plan: exactly` expects a plan without actions"
        reader.wrong("SR709", keys.key("actions"), "every plan contains an empty list of actions", hint)
    elif actions is None and not expectation.none_of and expectation.policies is None and not expectation.rest:
        node = keys.key("none_of") if "none_of" in list(keys) else keys.node
        reader.wrong("SR709", node, "nothing is expected, so this cannot fail", "`actions: []` expects an empty plan")


def _rest(key: str, node: Node, reader: Reader) -> Any:
    if key == "attribution" and isinstance(node.value, str):
        outcomes = get_args(Outcome)
        word = reader.choice(Keys(Node({key: (tuple(node), tuple(node))}, node.start, node.end), key), key, outcomes)
        return {"outcome": word}
    return data_of(node, reader.source.text)


def _names(nodes: Iterable[Node], reader: Reader) -> Iterable[ExpectedName]:
    for node in nodes:
        name = reader.text(node, "policies")
        if name is not None:
            yield ExpectedName(name, location_of(node, reader))


def _error(node: Node, reader: Reader) -> ExpectedError | None:
    where = location_of(node, reader)
    if isinstance(node.value, str):
        return ExpectedError(node.value, None, where)
    keys = reader.keys(node, "`error`", ("path", "reason"))
    if keys is None:
        return None
    return ExpectedError(reader.given(keys, "path", reader.text), reader.given(keys, "reason", reader.text), where)


def _actions(node: Node, what: str, reader: Reader) -> tuple[ExpectedAction, ...]:
    if node.value is None:
        reader.wrong("SR110", node, f"`{what}` needs a value", "`[]` is an empty list")
        return ()
    actions = []
    for item in reader.items(node, what):
        if isinstance(item.value, str):
            actions.append(ExpectedAction({"action": item.value}, location_of(item, reader)))
            continue
        keys = reader.keys(item, "an expected action", ACTION_KEYS)
        if keys is None:
            continue
        if not list(keys):
            reader.wrong("SR709", item, "every action matches this one", "give its `action`, or another key")
        actions.append(ExpectedAction(_fields(keys, reader), location_of(item, reader)))
    return tuple(actions)


def _fields(keys: Keys, reader: Reader) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key in keys:
        node = cast("Node", keys.get(key))
        if node.value is None and key in ("superseded_by", "reason", "uid"):
            fields[key] = None
        elif key == "parameters":
            fields[key] = _parameters(node, reader)
        elif key == "sources":
            sources = (reader.keys(item, "a source", _SOURCE_KEYS) for item in reader.items(node, key))
            fields[key] = [_fields(source, reader) for source in sources if source is not None]
        elif key == "disposition":
            fields[key] = reader.choice(keys, key, get_args(Disposition))
        elif key == "section":
            fields[key] = reader.choice(keys, key, get_args(Section))
        elif key in ("index", "superseded_by"):
            fields[key] = reader.count(keys, key, 0)
        elif key in ACTION_KEYS:
            fields[key] = reader.text(node, key)
    return fields


def _parameters(node: Node, reader: Reader) -> dict[str, Any]:
    if node.value is None:
        return {}
    keys = reader.keys(node, "`parameters`", _PARAMETERS)
    if keys is None:
        return {}
    parameters: dict[str, Any] = {}
    for key in keys:
        item = cast("Node", keys.get(key))
        if item.value is None:
            parameters[key] = None
        elif key == "priority":
            parameters[key] = reader.count(keys, key, 0, least=None)
        else:
            parameters[key] = reader.text(item, key)
    return parameters


# Misspelt keys of events: with one, a test that expects no action would pass for the wrong reason. Unknown keys that do
# not resemble a valid key are allowed, as in every event.

_EVENT: Final = "the event"
_EVENT_KEYS: Final[dict[str, tuple[str, ...]]] = {
    _EVENT: (
        "id",
        "time",
        "policy_uid",
        "policy_name",
        "cluster",
        "machine",
        "namespace",
        "pod",
        "container",
        "service",
        "process",
    ),
    "cluster": ("name", "uid"),
    "machine": ("hostname", "uid", "sourceName"),
    "namespace": ("name", "labels"),
    "pod": ("name", "uid", "kuid", "labels"),
    "container": ("image", "imageID", "containerName", "containerID"),
    "service": ("name", "cgroup"),
    "process": ("name", "exe", "euser", "pid", "ppid", "uid", "start_ticks", "boot_id", "start_time"),
}
# The least similarity of a misspelt key, from 0 to 1.
_SIMILAR: Final = 0.75
# Shorter keys resemble too many other words, such as `exec`, `euid` and `tid`.
_SHORT: Final = 3


def is_normal(record: Any, form: str | None) -> bool:
    """Return whether a record is read as an event in the normal form."""
    return isinstance(record, Mapping) and (BUILT_IN.recognise(record).name if form is None else form) == "normal"


def report_misspelt(node: Node, reader: Reader, where: str = _EVENT) -> None:
    """Report keys that resemble a key of the normal form, in an event and in its scopes."""
    if not isinstance(node.value, dict):
        return
    valid = _EVENT_KEYS[where]
    for key, (name, value) in node.value.items():
        if key in valid:
            if where == _EVENT and key in _EVENT_KEYS:
                report_misspelt(Node(*value), reader, key)
            continue
        nearest = _nearest_key(key, [word for word in valid if word not in node.value])
        if nearest is not None:
            mapping = where if where == _EVENT else f"`{where}` of the event"
            reader.wrong("SR701", Node(*name), f"unknown key {quoted(key)} in {mapping}", f"did you mean `{nearest}`?")


def _nearest_key(key: str, valid: list[str]) -> str | None:
    folded = {word.lower(): word for word in valid}
    if key.lower() in folded:
        return folded[key.lower()]
    long = [word for word in folded if len(word) > _SHORT]
    matching = difflib.get_close_matches(key[:100].lower(), long, n=1, cutoff=_SIMILAR)
    return folded[matching[0]] if matching else None


KEYS: Final = ("apiVersion", "kind", "name", "policies", "strict", "defaults", "not_in", "mode", "form", "tests")
_SOURCES: Final = ("event", "events", "file")
TEST_KEYS: Final = ("name", *_SOURCES, "line", "form", "expect", "rows")
_ROW_KEYS: Final = ("name", "with", "expect")


def is_test_text(text: str) -> bool:
    """Return whether a text may contain policy tests, without parsing it."""
    return TEST_KIND in text or TEST_API_VERSION in text


def read(source: Source, findings: Findings) -> list[Suite]:
    """Return the suites of a text; record all faults. Other documents are skipped."""
    suites: list[Suite] = []
    before = len(findings.items)
    try:
        for tree in trees(source):
            if not tree.empty:
                read_suites = (_document(root, source, findings) for root in _documents(Node(*tree.nodes())))
                suites += [suite for suite in read_suites if suite is not None]
    except DocumentError as error:
        findings.unreadable(error, source)
    except TooManyFindingsError:
        pass
    findings.sort_since(before)
    return suites


def _documents(root: Node) -> list[Node]:
    """Return the documents in a document: as for policies, it may be a list of documents, or have them in ``items``."""
    value = root.value
    if isinstance(value, dict) and "items" in value and getattr(Keys(root, "").get("kind"), "value", "") != TEST_KIND:
        value = value["items"][1][0]
    return [Node(*item) for item in value] if isinstance(value, list) else [root]


def _document(root: Node, source: Source, findings: Findings) -> Suite | None:
    if not isinstance(root.value, dict):
        return None
    both = Keys(root, "the document")
    version, kind = both.get("apiVersion"), both.get("kind")
    right_version = version is not None and version.value == TEST_API_VERSION
    right_kind = kind is not None and kind.value == TEST_KIND
    if not right_version and not right_kind:
        return None
    reader = Reader(source, findings)
    if not right_version or not right_kind:
        node, key, word = (version, "apiVersion", TEST_API_VERSION) if right_kind else (kind, "kind", TEST_KIND)
        shown = quoted(node.value) if node is not None and isinstance(node.value, str) else "nothing"
        reader.wrong(
            "SR710", node or root, f"`{key}` of a policy test must be `{word}`, not {shown}", f"write `{word}`"
        )
        return None
    keys = reader.keys(root, "the document", KEYS)
    return None if keys is None else _Document(reader, keys).suite()


class _Events(NamedTuple):
    """The records of a test, each with its label, and their form."""

    records: list[tuple[str, Any]]
    form: str | None


class _Document:
    """Reads one document."""

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
        where = location_of(keys.node, reader)
        inputs = tuple(dict.fromkeys(self._inputs))
        return Suite(name, path, policies or (), options, tuple(tests or ()), inputs, where)

    def _paths(self, node: Node, what: str) -> tuple[str, ...]:
        items = self._reader.items(node, what)
        if isinstance(node.value, list) and not items:
            self._reader.wrong("SR702", node, "`policies` names no path")
        paths = (self._reader.path(item, what) for item in items)
        return tuple(os.path.normpath(path) for path in paths if path is not None)

    def _tests(self, node: Node, what: str) -> list[Case]:
        items = self._reader.items(node, what)
        if isinstance(node.value, list) and not items:
            self._reader.wrong("SR709", node, "there is no test here, so nothing can fail")
        names: set[str] = set()
        cases: list[Case] = []
        for item in items:
            keys = self._reader.keys(item, "a test", TEST_KEYS)
            if keys is not None:
                cases += self._test(keys, names)
        return cases

    def _test(self, keys: Keys, names: set[str]) -> Iterator[Case]:
        reader = self._reader
        name = reader.needed(keys, "name", reader.text)
        if name is not None:
            self._require_unique(name, cast("Node", keys.get("name")), names)
        events = self._events(keys)
        rows = keys.get("rows")
        node = keys.get("expect")
        expect = None if node is None else read_expectation(node, reader)
        if rows is None:
            if node is None:
                reader.wrong("SR702", keys.node, "the test has no `expect`")
            elif name is not None and events is not None and expect is not None:
                yield Case(name, self._case_events(events, None), expect, location_of(keys.node, reader))
            return
        row_names: set[str] = set()
        items = reader.items(rows, "rows")
        if isinstance(rows.value, list) and not items:
            reader.wrong("SR709", rows, "there is no row here, so nothing can fail")
        for number, item in enumerate(items, 1):
            row = reader.keys(item, "a row", _ROW_KEYS)
            if row is not None:
                yield from self._row(row, f"{name} / ", number, events, expect, row_names)

    def _row(
        self, keys: Keys, prefix: str, number: int, events: _Events | None, base: Expectation | None, names: set[str]
    ) -> Iterator[Case]:
        reader = self._reader
        name = reader.given(keys, "name", reader.text)
        if name is not None:
            self._require_unique(name, cast("Node", keys.get("name")), names)
        node = keys.get("expect")
        expect = base if node is None else read_expectation(node, reader)
        if node is None and base is None:
            reader.wrong("SR702", keys.node, "neither the row nor its test has an `expect`")
        other = keys.get("with")
        if other is not None and not isinstance(other.value, dict):
            reader.wrong("SR111", other, "`with` must be a mapping: the changes of this row to the event of the test")
        if other is not None and events is not None and all(is_normal(r, events.form) for _, r in events.records):
            report_misspelt(other, reader)
        if events is not None and expect is not None:
            shown = f"{prefix}{name or f'row {number}'}"
            yield Case(shown, self._case_events(events, other), expect, location_of(keys.node, reader))

    def _require_unique(self, name: str, node: Node, names: set[str]) -> None:
        if name in names:
            self._reader.wrong("SR708", node, f"an earlier test is also named {quoted(name)}", "rename one of the two")
        names.add(name)

    def _case_events(self, events: _Events, other: Node | None) -> tuple[CaseEvent, ...]:
        change = None if other is None else data_of(other, self._reader.source.text)
        records = events.records if change is None else [(label, merged(r, change)) for label, r in events.records]
        alone = len(records) == 1
        return tuple(case_event("" if alone else label, record, events.form) for label, record in records)

    def _events(self, keys: Keys) -> _Events | None:
        reader = self._reader
        form = reader.choice(keys, "form", BUILT_IN.names) or self._form
        kinds = [word for word in keys if word in _SOURCES]
        if len(kinds) != 1:
            node = keys.key(kinds[1]) if kinds else keys.node
            reader.wrong("SR706", node, f"a test has one of `event`, `events`, `file`; this one has {len(kinds)}")
            return None
        kind, node = kinds[0], cast("Node", keys.get(kinds[0]))
        if kind != "file" and keys.get("line") is not None:
            reader.wrong("SR706", keys.key("line"), "`line` selects an event of a `file`, and there is no `file`")
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
            report_misspelt(node, self._reader)
        return record

    def _file(self, keys: Keys, node: Node, form: str | None) -> _Events | None:
        reader = self._reader
        path = reader.path(node, "file")
        if path is None:
            return None
        self._inputs.append(path)
        records = read_events(path, node, reader)
        line = keys.get("line")
        if line is None or not records:
            return _Events(records, form)
        number = reader.count(keys, "line", 1, least=1)
        selected = [(label, record) for label, record in records if label.rpartition(":")[2] == str(number)]
        if not selected:
            hint = suggestion(str(number), [label.rpartition(":")[2] for label, _ in records][:20])
            reader.wrong("SR707", line, f"there is no event in line {number} of {quoted(path)}", hint)
        return _Events(selected, form)


# Finding files of policy tests.


@dataclass(frozen=True, slots=True)
class SuiteFiles:
    """The tests at some paths.

    Attributes:
        suites: the suites of the files without a fault.
        diagnostics: the faults of the other files.
        files: every file with tests or a fault, in reading order.
        empty: the paths without a test.
    """

    suites: tuple[Suite, ...]
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[str, ...]
    empty: tuple[str, ...]


def find(paths: Iterable[str | os.PathLike[str]]) -> SuiteFiles:
    """Find the tests in files and directories. Directories are searched as for policies; a file counts once."""
    finder = _Finder()
    empty: list[str] = []
    # If there are too many findings, the last one says so.
    with contextlib.suppress(TooManyFindingsError):
        empty += [path for path in (os.fspath(path) for path in paths) if not finder.add(path)]
    return SuiteFiles(tuple(finder.suites), tuple(finder.findings.items), tuple(finder.files), tuple(empty))


class _Finder:
    """Collects the tests at some paths."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.suites: list[Suite] = []
        self.files: list[str] = []
        self._seen: set[str] = set()

    def add(self, path: str) -> bool:
        """Add the tests at a path; return whether there is a test or a fault."""
        before = self.findings.errors
        if not os.path.exists(path):
            self.findings.about_path("SR001", "no such file or directory", path)
            return True
        names = list(walk(path, self.findings)) if os.path.isdir(path) else [path]
        with_tests = [self._file(name) for name in names]
        return any(with_tests) or self.findings.errors > before

    def _file(self, path: str) -> bool:
        real = os.path.realpath(path)
        if real in self._seen:
            return True
        before = self.findings.errors
        source = read_source(path, self.findings)
        suites = read(source, self.findings) if source is not None and is_test_text(source.text) else []
        faulty = self.findings.errors > before
        if not suites and not faulty:
            return False
        self._seen.add(real)
        self.files.append(path)
        if not faulty:
            self.suites += suites
        return True
