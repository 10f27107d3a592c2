"""Any text, bytes or host documents give a PolicySet or a PolicyError, and nothing else."""

from __future__ import annotations

import json
import pickle
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import strategies as s
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spyderresp
from spyderresp.document import DocumentError, Mapping, Node, Scalar, Sequence
from spyderresp.json_text import NotJsonError, read_json
from spyderresp.yaml_text import read_yaml

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


def check_diagnostics(diagnostics: Any, text: str) -> None:
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 1
    for item in diagnostics:
        assert 0 <= item.location.line <= lines
        assert item.location.column <= len(text) + 1
        assert item.message
        if item.source_line:
            assert 1 <= item.source_column <= len(item.source_line) + 1
            assert item.width >= 1
    json.dumps([str(item) for item in diagnostics])


@given(st.text() | yamlish | damaged(), st.booleans())
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
    | st.just(date(2026, 1, 1))
    | st.just({1})
)
host_documents = st.recursive(odd, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner))


@given(st.lists(host_documents, max_size=4))
def test_any_host_documents(documents: list[Any]) -> None:
    try:
        spyderresp.from_documents(documents)
    except spyderresp.PolicyError as error:
        assert error.errors


def test_documents_that_hold_themselves() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(spyderresp.PolicyError, match="SR009"):
        spyderresp.from_documents([{"spec": loop}])


@given(s.policy_sets())
def test_policy_sets_pickle(documents: list[dict[str, Any]]) -> None:
    policies = spyderresp.from_documents(documents)
    copy = pickle.loads(pickle.dumps(policies))
    assert copy.policies == policies.policies
    assert copy.digest == policies.digest
    engine = pickle.loads(pickle.dumps(spyderresp.Engine(policies, defaults="unless-overridden")))
    assert engine.policies.digest == policies.digest


def plain(node: Node) -> Any:
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node]
    return {key: plain(value) for key, (_, value) in node.entries.items()}


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
    assert plain(read_json(text, surrogates=True)) == as_texts(document)


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
        assert error.code == "SR012"
    else:
        assert good


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)), st.booleans())
def test_yaml_texts_are_what_was_written(document: Any, flow: bool) -> None:
    text = yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True)
    (node,) = read_yaml(text)
    # Not simply the document: the emitter itself does not round-trip U+0085 and its like.
    assert as_null(plain(node)) == yaml.load(text, Loader=yaml.BaseLoader)


@given(
    st.dictionaries(st.text("abé\U0001f600", min_size=1), st.text("abé\U0001f600", min_size=1), min_size=1),
    st.sampled_from(("\n", "\r\n")),
)
def test_places_are_where_the_text_is(document: dict[str, str], newline: str) -> None:
    text = "".join(f"{key}: {value}{newline}" for key, value in document.items())
    (node,) = read_yaml(text)
    assert isinstance(node, Mapping)
    for key, value in node.pairs():
        assert text[key.start : key.end] == key.text
        assert isinstance(value, Scalar)
        assert text[value.start : value.end] == value.text
