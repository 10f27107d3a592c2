"""The schema for editors: itself valid, and in agreement with strict reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import strategies as s
from hypothesis import given
from hypothesis import strategies as st
from schema_check import UNSEEN, VALIDATOR, parse, valid

import spyderresp
from spyderresp.json_schema import policy_schema

WORDS = (
    "selector",
    "matchFields",
    "exe",
    "name",
    "enabled",
    "mode",
    "severity",
    "uid",
    "x",
    "In",
    "Exists",
    "makeRedFlag",
)
VALUES = (None, {}, [], "", "x", 7, True, ["a"], [None], {"name": "a"}, "In", "high", "audit", "yes")


def strictly_read(documents: Any) -> tuple[bool, set[str]]:
    """Return whether strict reading takes the documents, and the codes of its errors."""
    try:
        spyderresp.loads(json.dumps(documents), strict=True)
    except spyderresp.PolicyError as error:
        return False, {item.code for item in error.errors}
    return True, set()


def agree(document: Any) -> None:
    good, codes = strictly_read(document)
    assert valid(document) == good or any(UNSEEN.fullmatch(code) for code in codes), codes


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(policy_schema())
    assert json.loads(json.dumps(policy_schema())) == policy_schema()


@given(s.policies(s.uids))
def test_agrees_on_policies(document: dict[str, Any]) -> None:
    agree(document)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


@given(s.policies(), st.data())
def test_agrees_on_damaged_policies(document: dict[str, Any], data: st.DataObject) -> None:
    *path, last = data.draw(st.sampled_from(places(document)[1:]))
    holder = document
    for key in path:
        holder = holder[key]
    change = data.draw(st.sampled_from(("delete", "replace", "rename", "add")))
    if change == "replace":
        holder[last] = data.draw(st.sampled_from(VALUES))
    elif change == "delete":
        del holder[last]
    elif isinstance(holder, dict):
        value = data.draw(st.sampled_from(VALUES)) if change == "add" else holder.pop(last)
        holder[data.draw(st.sampled_from(WORDS))] = value
    agree(document)


def test_agrees_on_lists_and_other_documents() -> None:
    policy = {"apiVersion": "spyderbat/v1", "kind": "SpyderbatPolicy", "metadata": {"name": "a", "type": "cluster"}}
    policy["spec"] = {"mode": "audit", "clusterSelector": {"name": "a"}}
    for document in (
        [policy],
        [],
        [[policy]],
        {"apiVersion": "v1", "items": [policy]},
        {"apiVersion": "v1", "kind": "List", "items": [policy, policy]},
        {"apiVersion": "v1", "kind": "List", "items": []},
        {"items": [policy]},
        {"apiVersion": "v1", "items": [policy], "itmes": []},
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": 7},
        {"apiVersion": "apps/v1"},
        {"kind": "SpyderbatRuleset", "apiVersion": "spyderbat/v1"},
        {"kind": "SpyderbatRulest", "apiVersion": "spyderbat/v1"},
        {"kind": "ResponseTest", "apiVersion": "spyderresp/v1", "anything": 1},
        policy | {"metadata": {"type": "trace"}, "spec": 7},
        policy | {"items": []},
        "text",
    ):
        agree(document)


@pytest.fixture
def texts(corpus: Path) -> list[tuple[str, str]]:
    paths = [
        path
        for kind in ("reference", "vendor_policies", "bad_inputs")
        for path in (corpus / "corpus" / kind).rglob("*.yaml")
    ]
    found = [(path.name, path.read_text()) for path in sorted(paths)]
    for path in sorted((corpus / "conformance").glob("*.json")):
        found += [(path.name, text) for text in json.loads(path.read_text())["policies"]]
    return found


def test_agrees_on_the_corpus(texts: list[tuple[str, str]]) -> None:
    checked = 0
    for name, text in texts:
        try:
            spyderresp.loads(text, strict=True)
            good, codes = True, set()
        except spyderresp.PolicyError as error:
            good, codes = False, {item.code for item in error.errors}
        if any(UNSEEN.fullmatch(code) for code in codes):
            continue
        documents = parse(text)
        assert all(map(valid, documents)) == good, (
            name,
            codes,
            [list(VALIDATOR.iter_errors(d)) for d in documents][:1],
        )
        checked += 1
    assert checked > 250
