"""Any text, bytes or host documents give a PolicySet or a PolicyError, and nothing else."""

from __future__ import annotations

import json
import math
import pickle
import re
from collections import OrderedDict, UserDict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import strategies as s
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import spyderresp
from spyderresp.policies._document import read_json
from spyderresp.policies.document_limits import DocumentError, NotJsonError
from spyderresp.policies.yaml_reader import Loader, read_yaml

FRAGMENTS = (
    "apiVersion: spyderbat/v1\n",
    "kind: SpyderbatPolicy\n",
    "metadata:\n  name: a\n  type: cluster\n",
    "spec:\n",
    "  mode: audit\n",
    "  clusterSelector: {name: a}\n",
    "  response:\n    default:\n    - makeRedFlag: {severity: low}\n",
    "items:\n",
    "%YAML 1.1\n",
    "<<: *a\n",
    "|\n  x\n",
    ">-\n  y\n",
    "\\ud800",
    "é\U0001f600",
    *("---\n", "...\n", "- ", "  ", "\t", "&a ", "*a", "{", "}", "[", "]", ": ", ", ", "'", '"', "!x ", "!!str ", "#"),
    *("? ", "~", "null", "\r\n", "\ufeff", "\x85"),
)
yamlish = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join)
policy_texts = s.policy_sets(max_size=2).map(lambda documents: yaml.safe_dump_all(documents, allow_unicode=True))


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Draw a good text with something taken out or put in."""
    text = draw(policy_texts)
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(FRAGMENTS) | st.text(max_size=3)) + text[at + draw(st.integers(0, 8)) :]


BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def check_diagnostics(diagnostics: Any, text: str) -> None:
    """Every place is inside the text, and shows what stands there."""
    # The loader drops every byte order mark at the start: files joined by `cat` have several.
    lines = BREAK.split(text.lstrip("\ufeff"))
    for item in diagnostics:
        assert item.message
        assert item.level in ("error", "warning", "note")
        assert 0 <= item.location.line <= len(lines)
        if item.location.line:
            line = lines[item.location.line - 1]
            assert 1 <= item.location.column <= len(line) + 1
            assert item.source_line in line
            assert 1 <= item.source_column <= len(item.source_line) + 1
            assert item.width >= 1
            # The window of a long line shows the place itself.
            assert item.source_line[item.source_column - 1 :][:1] == line[item.location.column - 1 :][:1]
    json.dumps([str(item) for item in diagnostics])


# Characters that readers treat in their own ways: byte order marks, NUL, every kind of line break.
marked = st.lists(
    st.sampled_from(("\ufeff", "\0", "\r", "\n", "\x85", "\u2028", "\u2029", "0", "a: b", "{}", "- ", "#"))
).map("".join)


@given(st.text() | yamlish | damaged() | marked, st.booleans())
@example("\ufeff\ufeff0", False)
def test_any_text(text: str, strict: bool) -> None:
    seen = []
    for _ in range(2):
        try:
            policies = spyderresp.loads(text, strict=strict)
            seen.append((policies.digest, policies.diagnostics))
        except spyderresp.PolicyError as error:
            assert error.errors
            assert pickle.loads(pickle.dumps(error)).diagnostics == error.diagnostics
            seen.append(("", error.diagnostics))
        check_diagnostics(seen[-1][1], text)
    assert seen[0] == seen[1]


@given(
    st.binary()
    | yamlish.map(lambda text: text.encode("utf-16"))
    | damaged().map(lambda t: t.encode("utf-8", "replace"))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(data)
    try:
        spyderresp.load(path)
    except spyderresp.PolicyError as error:
        assert all(item.location.path == str(path) for item in error.diagnostics)


odd = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from((date(2026, 1, 1), {1}, Decimal(1), ..., object, 10**400, "\ud800"))
)
odd_keys = st.text() | st.integers() | st.sampled_from((None, True, 1.5, (1, 2), b"a", date(2026, 1, 1), "\ud800"))
host_documents = st.recursive(odd, lambda inner: st.lists(inner) | st.dictionaries(odd_keys, inner))


@st.composite
def odd_somewhere(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a good document with something odd put in, somewhere."""
    document: dict[str, Any] = draw(s.policies())
    held: Any = document
    while True:
        keys = list(held) if isinstance(held, dict) else list(range(len(held)))
        key = draw(st.sampled_from(keys)) if keys else None
        inner = held[key] if keys else None
        if not isinstance(inner, (dict, list)) or draw(st.integers(0, 3)) == 0:
            break
        held = inner
    if isinstance(held, list):
        held.insert(0, draw(host_documents))
    else:
        held[draw(odd_keys) if key is None or draw(st.booleans()) else key] = draw(host_documents)
    return document


@given(st.lists(host_documents | odd_somewhere(), max_size=4), st.booleans())
def test_any_host_documents(documents: list[Any], strict: bool) -> None:
    seen = []
    for _ in range(2):
        try:
            policies = spyderresp.from_documents(documents, strict=strict)
            seen.append((policies.digest, policies.diagnostics))
        except spyderresp.PolicyError as error:
            assert error.errors
            assert pickle.loads(pickle.dumps(error)).diagnostics == error.diagnostics
            seen.append(("", error.diagnostics))
    assert seen[0] == seen[1]
    assert all(item.location.path.startswith("<document ") for item in seen[0][1])


GOOD: dict[str, Any] = {
    "apiVersion": "spyderbat/v1",
    "kind": "SpyderbatPolicy",
    "metadata": {"name": "a", "type": "cluster"},
    "spec": {"mode": "audit", "clusterSelector": {"name": "a"}},
}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (math.nan, "SR019"),
        (math.inf, "SR019"),
        (b"a", "SR019"),
        ({1}, "SR019"),
        (date(2026, 1, 1), "SR019"),
        (10**400, "SR019"),
        pytest.param(object(), "SR019", id="object"),
        ({7: "a"}, "SR016"),
        ({None: "a"}, "SR016"),
        ({10**399: "a"}, "SR016"),
    ],
    ids=str,
)
def test_values_that_json_does_not_have(value: Any, code: str) -> None:
    with pytest.raises(spyderresp.PolicyError) as caught:
        spyderresp.from_documents([GOOD | {"metadata": {**GOOD["metadata"], "owner": value}}])
    assert [item.code for item in caught.value.diagnostics] == [code]


def test_a_key_too_long_to_be_said() -> None:
    with pytest.raises(spyderresp.PolicyError, match="SR016"):
        spyderresp.from_documents([GOOD | {"metadata": {10**5000: "a"}}])


@pytest.mark.parametrize("wrap", [OrderedDict, UserDict, MappingProxyType])
def test_documents_of_other_mappings(wrap: Any) -> None:
    def wrapped(value: Any) -> Any:
        return wrap({key: wrapped(item) for key, item in value.items()}) if isinstance(value, dict) else value

    assert spyderresp.from_documents((wrapped(GOOD),)).digest == spyderresp.from_documents([GOOD]).digest


def test_a_text_subclass_in_a_document_is_its_text() -> None:
    odd = {**GOOD, "kind": s.Text("SpyderbatPolicy"), "metadata": {"name": s.Text("a"), "type": s.Text("cluster")}}
    assert spyderresp.from_documents([odd]).digest == spyderresp.from_documents([GOOD]).digest


def test_documents_that_hold_themselves() -> None:
    loop: list[Any] = []
    loop.extend((loop, loop))
    ring: dict[str, Any] = {}
    ring["spec"] = {"response": ring}
    for document in ({"spec": loop}, loop, ring):
        with pytest.raises(spyderresp.PolicyError, match="SR009"):
            spyderresp.from_documents([document])


@given(s.policy_sets())
def test_policy_sets_pickle(documents: list[dict[str, Any]]) -> None:
    policies = spyderresp.from_documents(documents)
    # With all that it remembers of itself.
    named = policies.named
    copy = pickle.loads(pickle.dumps(policies))
    assert copy.named == named
    assert copy.policies == policies.policies
    assert copy.digest == policies.digest
    engine = pickle.loads(pickle.dumps(spyderresp.Engine(policies, defaults="unless-overridden")))
    assert engine.policies.digest == policies.digest


def as_null(value: Any) -> Any:
    """Return what PyYAML's untyped loader says: an empty text for null."""
    if isinstance(value, dict):
        return {key: as_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_null(item) for item in value]
    return "" if value is None else value


def as_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_texts(item) for item in value]
    return value if value is None or isinstance(value, str) else json.dumps(value)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
documents = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(documents, st.sampled_from((None, 1, 4)), st.booleans())
def test_json_texts_are_what_the_json_module_says(document: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    assert read_json(text, surrogates=True).plain() == as_texts(document)


@given(st.text('{}[]:,"\\ \ntrue1.-e+0u', max_size=12))
def test_json_is_what_the_json_module_takes(text: str) -> None:
    def no_constant(word: str) -> None:
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=no_constant)
        good = True
    except ValueError:
        good = False
    try:
        read_json(text)
    except NotJsonError:
        assert not good
    except DocumentError as error:
        assert good
        assert error.code == "SR012"
        assert duplicates(text)
    else:
        assert good
        assert not duplicates(text)


def duplicates(text: str) -> bool:
    """Tell whether any object of a JSON text has a key twice, by the json module."""
    found = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        found.append(len(items) != len({key for key, _ in items}))

    json.loads(text, object_pairs_hook=pairs)
    return any(found)


keys_that_collide = st.sampled_from(("a", "\\u0061", "b", "", "\\/", "/"))


@given(
    st.recursive(
        st.just("1"),
        lambda inner: st.lists(st.tuples(keys_that_collide, inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f'"{key}": {value}' for key, value in pairs) + "}"
        ),
    )
)
def test_duplicate_keys_are_refused_however_spelt(text: str) -> None:
    try:
        read_json(text)
    except DocumentError as error:
        assert error.code == "SR012"
        assert duplicates(text)
    else:
        assert not duplicates(text)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)), st.booleans())
def test_yaml_texts_are_what_was_written(document: Any, flow: bool) -> None:
    text = yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True)
    (tree,) = read_yaml(text)
    # Not simply the document: the emitter itself does not round-trip U+0085 and its like.
    assert as_null(tree.plain()) == yaml.load(text, Loader=yaml.BaseLoader)


plain_text = st.text("abé\U0001f600", min_size=1)


@given(
    st.dictionaries(plain_text, plain_text | st.lists(plain_text, min_size=1, max_size=3), min_size=1),
    st.sampled_from(("\n", "\r\n", "\r")),
    st.sampled_from(("", "# é\U0001f600\n", "---\n")),
)
def test_places_are_where_the_text_is(document: dict[str, Any], newline: str, head: str) -> None:
    text = head + "".join(
        f"{key}: {value}{newline}"
        if isinstance(value, str)
        else f"{key}:{newline}" + "".join(f"- {item}{newline}" for item in value)
        for key, value in document.items()
    )
    (tree,) = read_yaml(text)
    assert tree.plain() == document
    for said, start, end in every_scalar(tree.nodes()):
        assert text[start:end] == said


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=repr)
@pytest.mark.parametrize("head", ["", "\ufeff"], ids=["no mark", "byte order mark"])
@pytest.mark.parametrize("word", ["é", "\U0001f600", "a"], ids=ascii)
def test_lines_and_columns(tmp_path: Path, newline: str, head: str, word: str) -> None:
    line = f"metadata: {{name: {word}, {word}{word}: x, type: huge}}"
    text = head + newline.join((f"# {word}", "apiVersion: spyderbat/v1", "kind: SpyderbatPolicy", line, "spec: {}", ""))
    path = tmp_path / "policy.yaml"
    path.write_bytes(text.encode())
    for read in (lambda: spyderresp.load(path), lambda: spyderresp.loads(text, path=str(path))):
        with pytest.raises(spyderresp.PolicyError) as caught:
            read()
        (item,) = caught.value.errors
        assert item.code == "SR123"
        assert item.location == (str(path), 4, line.index("huge") + 1)
        assert item.source_line == line
        assert line[item.source_column - 1 :][: item.width] == "huge"


def every_scalar(node: Any) -> Iterator[tuple[str | None, int, int]]:
    held, _, _ = node
    if isinstance(held, list):
        for item in held:
            yield from every_scalar(item)
    elif isinstance(held, dict):
        for key, value in held.values():
            yield key
            yield from every_scalar(value)
    else:
        yield node


def composed(node: Any) -> Any:
    """Return PyYAML's own nodes as kinds, texts and places; keys twice are kept twice."""
    place = (node.start_mark.index, node.end_mark.index)
    if isinstance(node, yaml.ScalarNode):
        return node.value, place
    if isinstance(node, yaml.SequenceNode):
        return [composed(item) for item in node.value], place
    return {"pairs": [(composed(key), composed(value)) for key, value in node.value]}, place


def ours(node: Any) -> Any:
    held, *place = node
    if isinstance(held, list):
        held = [ours(item) for item in held]
    elif isinstance(held, dict):
        held = {"pairs": [(ours(key), ours(value)) for key, value in held.values()]}
    return held, tuple(place)


def null_as_written(said: Any, theirs: Any) -> Any:
    """Return ours with null as its author wrote it, which only the other side kept."""
    value, place = said
    other = theirs[0]
    if value is None and other in ("", "~", "null", "Null", "NULL"):
        return other, place
    if isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        return [null_as_written(*pair) for pair in zip(value, other, strict=True)], place
    if isinstance(value, dict) and isinstance(other, dict) and len(value["pairs"]) == len(other["pairs"]):
        pairs = [
            (null_as_written(mine[0], yours[0]), null_as_written(mine[1], yours[1]))
            for mine, yours in zip(value["pairs"], other["pairs"], strict=True)
        ]
        return {"pairs": pairs}, place
    return said


without_merges = st.lists(st.sampled_from([item for item in FRAGMENTS if "<<" not in item]), max_size=20).map("".join)
snippets = ("~", "'a''b'", '"\\u00e9\\n"', "[a, {b: c}]", "{}", "&x a", "!!str 1", "|\n    é\n    b")
block_texts = st.recursive(
    plain_text | st.sampled_from(snippets),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(
        lambda items: "".join(f"\n- {item}" for item in items).replace("\n", "\n  ")
    ),
)


@given(without_merges | block_texts.map("k: {}\n".format), st.sampled_from(("\n", "\r\n")), st.booleans())
def test_nodes_are_those_that_pyyaml_composes(text: str, newline: str, bom: bool) -> None:
    """Texts and places equal those of the library's own composer, wherever both take the text."""
    text = "\ufeff" * bom + text.replace("\n", newline)
    try:
        theirs = [composed(node) for node in yaml.compose_all(text, Loader=Loader) if node is not None]
    except yaml.YAMLError as error:
        # YAML lets an anchor move on to another node; only PyYAML's composer does not.
        assume("found duplicate anchor" not in str(error))
        with pytest.raises(DocumentError):
            list(read_yaml(text))
        return
    try:
        trees = list(read_yaml(text))
    except DocumentError as error:
        # What the composer takes, and a policy may not hold: a key twice, a key that is no text, a tag, an empty alias.
        assert error.code in ("SR012", "SR014", "SR015", "SR016")
        return
    said = [ours(tree.nodes()) for tree in trees]
    assert len(said) == len(theirs)
    assert [null_as_written(*pair) for pair in zip(said, theirs, strict=True)] == theirs


@given(st.data())
def test_diagnostics_of_documents_name_the_path(data: st.DataObject) -> None:
    """A wrong severity at a drawn place is reported under its path in the document."""
    entries = data.draw(st.lists(st.just({"makeRedFlag": {"severity": "high"}}), min_size=1, max_size=4))
    entries = [json.loads(json.dumps(entry)) for entry in entries]
    index = data.draw(st.integers(0, len(entries) - 1))
    entries[index]["makeRedFlag"]["severity"] = "hgh"
    number = data.draw(st.integers(0, 2))
    wrong = {**GOOD, "spec": {**GOOD["spec"], "response": {"default": entries, "actions": []}}}
    with pytest.raises(spyderresp.PolicyError) as caught:
        spyderresp.from_documents([*[GOOD] * number, wrong])
    (found,) = [item for item in caught.value.diagnostics if item.code == "SR308"]
    assert found.location.path == f"<document {number}>: spec.response.default[{index}].makeRedFlag.severity"
