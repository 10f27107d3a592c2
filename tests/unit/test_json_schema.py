"""The schema for editors: itself valid, complete in its words, and in agreement with strict reading where they meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from schema_check import UNSEEN, VALIDATOR, agree, parse

import spyderresp
from spyderresp.policies.codes import CODES
from spyderresp.policies.json_schema import EXCEPTIONS, policy_schema
from spyderresp.policies.vocabulary import FALSE, OTHER_KINDS, TRUE

EDITOR = Path(__file__).parents[2] / "docs" / "EDITOR.md"
POLICY: dict[str, Any] = {
    "apiVersion": "spyderbat/v1",
    "kind": "SpyderbatPolicy",
    "metadata": {"name": "a", "type": "cluster"},
    "spec": {"mode": "audit", "clusterSelector": {"name": "a"}},
}
RENICE = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: a, type: cluster}
spec: {mode: audit, clusterSelector: {name: a}, response: {default: [agentReniceProcess: {priority: %s}]}}
"""


def objects(schema: Any) -> list[dict[str, Any]]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return [*([schema] if isinstance(schema, dict) else []), *(found for part in inner for found in objects(part))]


def test_is_a_schema_and_json() -> None:
    jsonschema.Draft7Validator.check_schema(policy_schema())
    assert json.loads(json.dumps(policy_schema())) == policy_schema()


def test_every_reference_leads_somewhere_and_every_definition_is_used() -> None:
    used = {part["$ref"] for part in objects(policy_schema()) if "$ref" in part}
    assert used == {f"#/definitions/{name}" for name in policy_schema()["definitions"]}
    # Draft 7 passes over whatever stands beside a reference.
    assert all(len(part) == 1 for part in objects(policy_schema()) if "$ref" in part)


def test_every_key_of_a_policy_is_described() -> None:
    definitions = policy_schema()["definitions"]
    for name, definition in definitions.items():
        for key, schema in definition["properties"].items():
            target = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            # What stands empty is checked, and described, where the document branches on it.
            assert target == {} or target["description"], f"{name}.{key}"


def test_exceptions_are_documented() -> None:
    assert set(CODES) >= UNSEEN
    text = " ".join(EDITOR.read_text().split())
    for exception in EXCEPTIONS:
        assert exception.what in text


@pytest.mark.parametrize("word", sorted(TRUE | FALSE))
def test_takes_the_booleans_that_strict_reading_takes(word: str) -> None:
    for spelling in (word, word.upper(), word.capitalize(), word + "x", word[0] + word[1:].upper(), f"{word}\n"):
        assert agree(json.dumps(POLICY | {"spec": POLICY["spec"] | {"enabled": spelling}}))


@pytest.mark.parametrize(
    "priority", [*range(-25, 25), "0x1F", "1_0", "010", "+5", "-0", "'-020'", '"1\\n"', "''", "1.5"]
)
def test_takes_the_priorities_that_strict_reading_takes(priority: int | str) -> None:
    assert agree(RENICE % priority)


@pytest.mark.parametrize("priority", ["0x10", "0o7", "1e1", "7.0"])
def test_an_editor_reads_other_notations_of_a_number(priority: str) -> None:
    """One of the exceptions: should this fail, it is none any more."""
    with pytest.raises(spyderresp.PolicyError, match="SR310"):
        spyderresp.loads(RENICE % priority, strict=True)
    assert VALIDATOR.is_valid(parse(RENICE % priority)[0])


def test_an_editor_reads_other_spellings_of_null() -> None:
    """One of the exceptions: should this fail, it is none any more."""
    text = "{apiVersion: spyderbat/v1, kind: SpyderbatPolicy, metadata: {name: Null, type: cluster}, spec: %s}"
    text %= "{mode: audit, clusterSelector: {name: NULL}}"
    assert spyderresp.loads(text, strict=True)[0].name == "Null"
    assert not VALIDATOR.is_valid(parse(text)[0])


@pytest.mark.parametrize("kind", sorted(OTHER_KINDS))
def test_other_kinds_may_hold_anything(kind: str) -> None:
    assert agree(json.dumps({"apiVersion": "spyderbat/v1", "kind": kind, "spec": 7, "x": []}))


@pytest.mark.parametrize(
    "document",
    [
        [POLICY],
        [POLICY, {"kind": "SpyderbatPolicy"}],
        [[POLICY]],
        [None],
        {"apiVersion": "v1", "items": [POLICY]},
        {"apiVersion": "v1", "items": [POLICY | {"spec": {}}]},
        {"apiVersion": "v1", "kind": "List", "items": [POLICY, POLICY]},
        {"apiVersion": "v1", "kind": "List\n", "items": [POLICY]},
        {"apiVersion": "v1", "kind": None, "items": [POLICY]},
        {"items": [POLICY]},
        {"apiVersion": "v1", "items": [POLICY], "itmes": []},
        {"apiVersion": "v1", "items": {}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": 7},
        {"apiVersion": "apps/v1", "kind": "SpyderbatPolicy"},
        {"apiVersion": 7, "kind": True},
        {"apiVersion": "apps/v1"},
        {"apiVersion": None, "kind": "Deployment"},
        {"kind": "SpyderbatRulest", "apiVersion": "spyderbat/v1"},
        {"kind": "ResponseTest", "apiVersion": "spyderresp/v1", "anything": 1},
        POLICY | {"metadata": {"type": "trace"}, "spec": 7, "x": 7},
        POLICY | {"items": []},
        {},
        "text",
        7,
    ],
    ids=json.dumps,
)
def test_agrees_on_lists_and_other_documents(document: Any) -> None:
    agree(json.dumps(document))


@pytest.mark.parametrize(
    ("damage", "path"),
    [
        ({"severity": "hihg"}, ["makeRedFlag", "severity"]),
        ({"severity": "high", "impcat": "x"}, ["makeRedFlag"]),
        ({"severity": "high", "enabled": "nope"}, ["makeRedFlag", "enabled"]),
        (None, ["makeRedFlag"]),
    ],
)
def test_marks_a_mistake_where_it_stands(damage: Any, path: list[str]) -> None:
    spec = POLICY["spec"] | {"response": {"default": [{"makeRedFlag": damage}]}}
    (error,) = VALIDATOR.iter_errors(POLICY | {"spec": spec})
    assert list(error.absolute_path) == ["spec", "response", "default", 0, *path]
