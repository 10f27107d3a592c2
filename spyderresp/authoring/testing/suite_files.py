"""Documents of policy tests into suites: every fault found in one pass, with its place and a fix."""

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

# Events of policy tests: written in the test, or read from a file of JSON.

_ANCHOR: Final = re.compile(r"&\S+\s+")
_JSON: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false", re.ASCII)


def data_of(node: Node, text: str) -> Any:
    """Return a value as JSON data: what is not quoted and is a number or a boolean in JSON is that, else a text.

    So ``pid: 4242`` is a number, and ``007``, ``no`` and ``"4242"`` are texts.
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
        # A number of more digits than Python reads.
        return value


def merged(record: Any, other: Any) -> Any:
    """Return a record with what another says in its place, mappings key by key; null takes away (RFC 7396).

    An error that stands in the place of a record stays.
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


def given(label: str, record: Any, form: str | None) -> CaseEvent:
    """Return the event of a record; an error that stands in its place stays."""
    if isinstance(record, EventError):
        return CaseEvent(label, None, record)
    try:
        return CaseEvent(label, converted(record, form))
    except EventError as error:
        return CaseEvent(label, None, error)


def read_events(path: str, node: Node, reader: Reader) -> list[tuple[str, Any]]:
    """Return the records of a file, labelled by their lines; each that is not JSON is an EventError in its place.

    A file named ``*.json`` holds one JSON value, which may be a list of records; any other one a line.
    """
    if not os.path.exists(path):
        reader.wrong("SR707", node, f"there is no file {quoted(path)}", _nearest_file(path))
        return []
    trouble = Findings()
    source = read_source(path, trouble)
    if source is None:
        reader.wrong("SR707", node, f"events cannot be read from {quoted(path)}: {trouble.items[0].message}")
        return []
    name = os.path.basename(path)
    records = list(_whole(source.text, name) if path.endswith(".json") else _lines(source.text, name))
    if not records:
        reader.wrong("SR707", node, f"no event in {quoted(path)}")
    return records


def _nearest_file(path: str) -> str:
    folder = os.path.dirname(path) or "."
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".json", ".jsonl", ".ndjson")))
    except (OSError, ValueError):
        return f"there is no directory `{folder}`; paths start at the test's file"
    return suggestion(os.path.basename(path), names) if names else f"no file of events is in `{folder}`"


def _whole(text: str, name: str) -> Iterator[tuple[str, Any]]:
    try:
        value = decode_event(text)
    except EventError as error:
        value = error
    if isinstance(value, list):
        yield from ((f"{name}[{place}]", record) for place, record in enumerate(value))
    else:
        yield name, value


def _lines(text: str, name: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line and not line.isspace():
            try:
                yield f"{name}:{number}", decode_event(line)
            except EventError as error:
                yield f"{name}:{number}", error


# What a test expects, out of its document.

#: The keys of a plan's JSON form that are compared as they stand.
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
    """Return what a test expects, or None after recording what is wrong with it."""
    where = place(node, reader)
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
    listed = keys.get("actions")
    actions = None if listed is None else _actions(listed, "actions", reader)
    refused = keys.get("none_of")
    none_of = () if refused is None else _actions(refused, "none_of", reader)
    rest = {key: _rest(key, held, reader) for key in _REST if (held := keys.get(key)) is not None}
    names = keys.get("policies")
    policies = None if names is None else tuple(_names(reader.items(names, "policies"), reader))
    error = reader.given(keys, "error", lambda held, _: _error(held, reader))
    _check_it_can_fail(keys, Expectation(how, actions, none_of, policies, rest, error, where), reader)
    return Expectation(how, actions, none_of, policies, rest, error, where)


def place(node: Node, reader: Reader) -> Location:
    """Return where a node stands."""
    return Location(reader.source.path, *reader.source.position(node.start))


def _check_it_can_fail(keys: Keys, said: Expectation, reader: Reader) -> None:
    if said.error is not None:
        others = [key for key in keys if key not in ("error", "plan")]
        if others:
            reader.wrong("SR709", keys.key(others[0]), "an event with an error has no plan", "leave one of the two out")
        return
    if said.how != "exactly" and said.actions is None:
        reader.wrong("SR709", keys.key("plan"), f"`plan: {said.how}` compares `actions`, and there are none")
    elif said.how == "contains" and not said.actions:
        reader.wrong("SR709", keys.key("actions"), "every plan contains no actions", "`plan: exactly` expects none")
    elif said.actions is None and not said.none_of and said.policies is None and not said.rest:
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
            yield ExpectedName(name, place(node, reader))


def _error(node: Node, reader: Reader) -> ExpectedError | None:
    where = place(node, reader)
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
    found = []
    for item in reader.items(node, what):
        if isinstance(item.value, str):
            found.append(ExpectedAction({"action": item.value}, place(item, reader)))
            continue
        keys = reader.keys(item, "an expected action", ACTION_KEYS)
        if keys is None:
            continue
        if not list(keys):
            reader.wrong("SR709", item, "any action is this one", "name its `action`, or what else it has")
        found.append(ExpectedAction(_said(keys, reader), place(item, reader)))
    return tuple(found)


def _said(keys: Keys, reader: Reader) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for key in keys:
        node = cast("Node", keys.get(key))
        if node.value is None and key in ("superseded_by", "reason", "uid"):
            said[key] = None
        elif key == "parameters":
            said[key] = _parameters(node, reader)
        elif key == "sources":
            sources = (reader.keys(item, "a source", _SOURCE_KEYS) for item in reader.items(node, key))
            said[key] = [_said(source, reader) for source in sources if source is not None]
        elif key == "disposition":
            said[key] = reader.choice(keys, key, get_args(Disposition))
        elif key == "section":
            said[key] = reader.choice(keys, key, get_args(Section))
        elif key in ("index", "superseded_by"):
            said[key] = reader.count(keys, key, 0)
        elif key in ACTION_KEYS:
            said[key] = reader.text(node, key)
    return said


def _parameters(node: Node, reader: Reader) -> dict[str, Any]:
    if node.value is None:
        return {}
    keys = reader.keys(node, "`parameters`", _PARAMETERS)
    if keys is None:
        return {}
    said: dict[str, Any] = {}
    for key in keys:
        held = cast("Node", keys.get(key))
        if held.value is None:
            said[key] = None
        elif key == "priority":
            said[key] = reader.count(keys, key, 0, least=None)
        else:
            said[key] = reader.text(held, key)
    return said


# Misspelt keys of events in a test: a test that expects no action would pass because of the misspelling.
# Unknown keys that resemble no valid key are kept, as in every event.

_EVENT: Final = "the event"
_KEYS_BY_PLACE: Final[dict[str, tuple[str, ...]]] = {
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
_NEAR: Final = 0.75
#: Short words are near too many others: `exec`, `euid`, `tid`.
_SHORT: Final = 3


def is_normal(record: Any, form: str | None) -> bool:
    """Tell whether a record is read as the normal form."""
    return isinstance(record, Mapping) and (BUILT_IN.recognise(record).name if form is None else form) == "normal"


def spelt(node: Node, reader: Reader, where: str = _EVENT) -> None:
    """Report keys that are nearly those of the normal form, in a mapping and in its objects."""
    if not isinstance(node.value, dict):
        return
    valid = _KEYS_BY_PLACE[where]
    for key, (name, value) in node.value.items():
        if key in valid:
            if where == _EVENT and key in _KEYS_BY_PLACE:
                spelt(Node(*value), reader, key)
            continue
        near = _nearest_key(key, [word for word in valid if word not in node.value])
        if near is not None:
            place = where if where == _EVENT else f"`{where}` of the event"
            reader.wrong("SR701", Node(*name), f"unknown key {quoted(key)} in {place}", f"did you mean `{near}`?")


def _nearest_key(key: str, valid: list[str]) -> str | None:
    folded = {word.lower(): word for word in valid}
    if key.lower() in folded:
        return folded[key.lower()]
    long = [word for word in folded if len(word) > _SHORT]
    found = difflib.get_close_matches(key[:100].lower(), long, n=1, cutoff=_NEAR)
    return folded[found[0]] if found else None


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
    reader = Reader(source, findings)
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

    def _given(self, events: _Events, other: Node | None) -> tuple[CaseEvent, ...]:
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


# Finding files of policy tests.


@dataclass(frozen=True, slots=True)
class SuiteFiles:
    """What paths hold.

    Attributes:
        suites: every document of tests that can be read.
        diagnostics: what is wrong with the others.
        files: every file with tests, in reading order, those that cannot be read among them.
        empty: those of the paths that hold no test.
    """

    suites: tuple[Suite, ...]
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[str, ...]
    empty: tuple[str, ...]


def find(paths: Iterable[str | os.PathLike[str]]) -> SuiteFiles:
    """Find the tests in files and directories; a directory is walked as for policies. A file counts once."""
    finder = _Finder()
    empty: list[str] = []
    # That it ends at too many is among the findings.
    with contextlib.suppress(TooManyFindingsError):
        empty += [path for path in (os.fspath(path) for path in paths) if not finder.holds_tests(path)]
    return SuiteFiles(tuple(finder.suites), tuple(finder.findings.items), tuple(finder.files), tuple(empty))


class _Finder:
    """Gathers what paths hold."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.suites: list[Suite] = []
        self.files: list[str] = []
        self._seen: set[str] = set()

    def holds_tests(self, path: str) -> bool:
        """Take in a path; tell whether it holds tests, or something is wrong with it."""
        before = self.findings.errors
        if not os.path.exists(path):
            self.findings.about_path("SR001", "no such file or directory", path)
            return True
        names = list(walk(path, self.findings)) if os.path.isdir(path) else [path]
        held = [self._file(name) for name in names]
        return any(held) or self.findings.errors > before

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
