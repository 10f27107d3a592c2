"""Certificates: right ones hold, and an index of other policies is found out, wherever the difference is."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spyderresp
from spyderresp.authoring.certify import Statement, certify, product, product_size, values_of
from spyderresp.decision import reference
from spyderresp.decision.compiler import Compiled, Options, compile_policies
from spyderresp.errors import Location
from spyderresp.policies.policy_set import Clause

DOCUMENTS: list[dict[str, Any]] = [
    {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": "p", "type": "cluster", "uid": "pol:p"},
        "spec": {
            "mode": "enforce",
            "clusterSelector": {"matchFields": {"name": ["c", "d-*"]}},
            "namespaceSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["dev"]}]},
            "response": {
                "default": [{"makeRedFlag": {"severity": "high"}}],
                "actions": [
                    {"agentKillProcess": {"processSelector": {"matchFields": {"exe": ["/bin/*", "*sh"], "name": "a"}}}},
                    {"agentKillPod": {"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}},
                ],
            },
        },
    },
    {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": "q", "type": "cluster"},
        "spec": {
            "mode": "audit",
            "clusterSelector": {"matchFields": {"name": "c"}},
            "response": {"default": [{"agentReniceProcess": {"priority": "5"}}]},
        },
    },
]


def made(documents: list[dict[str, Any]], options: Options = Options()) -> Compiled:  # noqa: B008 - immutable
    return compile_policies(spyderresp.from_documents(documents), options)


def verdicts(statements: list[Statement]) -> dict[str, str]:
    return {statement.about: statement.verdict for statement in statements}


@pytest.mark.parametrize("not_in", ["kubernetes", "documented"])
@pytest.mark.parametrize("defaults", ["always", "unless-overridden"])
def test_a_right_index_is_proven(not_in: Any, defaults: Any) -> None:
    statements = list(certify(made(DOCUMENTS, Options(defaults, not_in)), reference.Options(defaults, not_in)))
    assert set(verdicts(statements).values()) == {"proven"}
    assert [statement.about for statement in statements[-3:]] == ["policy p", "policy q", "events"]
    assert all(statement.checked for statement in statements)


def spec(documents: list[dict[str, Any]], place: int = 0) -> dict[str, Any]:
    return documents[place]["spec"]  # type: ignore[no-any-return]


CHANGES: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "another text": lambda d: spec(d)["clusterSelector"]["matchFields"].update(name=["e", "d-*"]),
    "another glob": lambda d: spec(d)["clusterSelector"]["matchFields"].update(name=["c", "e-*"]),
    "one value less": lambda d: spec(d, 1)["clusterSelector"]["matchFields"].update(name="x"),
    "another operator": lambda d: spec(d)["namespaceSelector"]["matchExpressions"][0].update(operator="In"),
    "another field of an entry": lambda d: spec(d)["response"]["actions"][0]["agentKillProcess"]["processSelector"][
        "matchFields"
    ].update(name="b"),
    "existence turned": lambda d: spec(d)["response"]["actions"][1]["agentKillPod"]["podSelector"]["matchExpressions"][
        0
    ].update(operator="DoesNotExist"),
    "another mode": lambda d: spec(d).update(mode="audit"),
    "another severity": lambda d: spec(d)["response"]["default"][0]["makeRedFlag"].update(severity="low"),
    "another priority": lambda d: spec(d, 1)["response"]["default"][0]["agentReniceProcess"].update(priority="6"),
    "another action": lambda d: spec(d)["response"]["actions"].__setitem__(
        0, {"agentKillProcessTree": spec(d)["response"]["actions"][0]["agentKillProcess"]}
    ),
    "one clause less": lambda d: spec(d)["response"]["actions"][0]["agentKillProcess"]["processSelector"][
        "matchFields"
    ].pop("name"),
    "one action less": lambda d: spec(d)["response"]["actions"].pop(0),
    "disabled": lambda d: spec(d, 1).update(enabled=False),
}


def acted(plan: dict[str, Any]) -> list[Any]:
    return [
        (item["action"], item["parameters"], item["disposition"], item["sources"][0]["index"])
        for item in plan["actions"]
    ]


@pytest.mark.parametrize("change", [change for change in CHANGES if change != "disabled"])
def test_it_is_found_out_in_its_policy_where_whole_events_are_too_many(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spyderresp.authoring.certify.MAX_WORK", 1)
    others = copy.deepcopy(DOCUMENTS)
    CHANGES[change](others)
    mine, other = made(DOCUMENTS), made(others)
    said = verdicts(list(certify(Compiled(mine.policy_set, other.index, other.attributes), reference.DEFAULT)))
    changed = "policy q" if change in ("one value less", "another priority") else "policy p"
    assert (said["events"], said[changed]) == ("not-decided", "refuted")


@pytest.mark.parametrize("most", [1_000, 1])
def test_what_fires_only_when_attributed_is_proven_too(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spyderresp.authoring.certify.MAX_POLICY_EVENTS", most)
    documents = copy.deepcopy(DOCUMENTS[1:])
    spec(documents)["clusterSelector"]["matchFieldsExpressions"] = [
        {"key": "name", "operator": "NotIn", "values": ["c"]}
    ]
    others = copy.deepcopy(documents)
    spec(others)["response"]["default"][0]["agentReniceProcess"].update(priority="6")
    mine, other = made(documents), made(others)
    assert verdicts(list(certify(mine, reference.DEFAULT)))["policy q"] == "proven"
    statements = list(certify(Compiled(mine.policy_set, other.index, other.attributes), reference.DEFAULT))
    (refuted,) = (statement for statement in statements if statement.verdict == "refuted")
    assert refuted.about == "policy q"
    assert refuted.event is not None
    assert refuted.event["policy_name"] == "q"


@pytest.mark.parametrize("change", CHANGES)
def test_an_index_of_other_policies_is_refuted_by_an_event(change: str) -> None:
    others = copy.deepcopy(DOCUMENTS)
    CHANGES[change](others)
    mine, other = made(DOCUMENTS), made(others)
    statements = list(certify(Compiled(mine.policy_set, other.index, other.attributes), reference.DEFAULT))
    refuted = [statement for statement in statements if statement.verdict == "refuted"]
    assert refuted
    event = refuted[-1].event
    assert event is not None
    said = [acted(other.index.evaluate(event).to_dict()), acted(reference.evaluate(mine.policy_set, event))]
    assert said[0] != said[1] or refuted[-1].about.startswith("values")


globs = st.text("ab*?[]!", min_size=1, max_size=4)
TEXTS = ["".join(letters) for length in range(5) for letters in itertools.product("abx", repeat=length)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(globs, min_size=1, max_size=2), max_size=3))
def test_classes_are_all_that_clauses_can_tell_apart(lists: list[list[str]]) -> None:
    clauses = [Clause("k", "In", tuple(values), "matchFields", Location("p", 1, 1)) for values in lists]
    patterns = sorted({pattern for clause in clauses for pattern in clause.values})

    def kind(text: str) -> tuple[bool, ...]:
        return tuple(fnmatchcase(text, pattern) for pattern in patterns)

    found = {kind(text) for text in values_of(clauses)}
    assert {kind(text) for text in TEXTS} <= found


def test_a_product_has_as_many_events_as_it_says() -> None:
    classes = {("process", "name"): (None, "a"), ("process", "exe"): (None, "b", "c"), ("pod", "app"): (None, "d")}
    events = [str(event) for event in product(classes)]
    assert len(events) == len(set(events)) == product_size(classes) == 7 * 3


def test_what_would_take_too_long_is_not_decided() -> None:
    documents = copy.deepcopy(DOCUMENTS)
    spec(documents)["clusterSelector"]["matchFields"]["name"] = [f"*{chr(0x61 + i)}*" for i in range(12)]
    said = verdicts(list(certify(made(documents), reference.DEFAULT)))
    assert said["values of cluster.name"] == "not-decided"
    assert said["events"] == "not-decided"
    assert said["policy q"] == "proven"
