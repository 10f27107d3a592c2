"""What is said for any event: each event shown is one, and where nothing is said no event differs."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import strategies as s
from hypothesis import given, settings
from hypothesis import strategies as st

import spyderresp
from spyderresp.authoring.diff.semantic import Options, SemanticDiff, compare_meanings
from spyderresp.decision import reference

# One text of each kind that the globs below tell apart.
VALUES = (None, "a", "b", "ab", "aa", "bb", "x")
GLOBS = ("a", "b", "a*", "*b", "*")
ACTIONS: tuple[dict[str, Any], ...] = (
    {"agentKillProcess": {}},
    {"agentKillProcessTree": {}},
    {"agentKillPod": {}},
    {"makeRedFlag": {"severity": "high"}},
    {"agentReniceProcess": {"priority": "5"}},
)
clauses = st.lists(
    st.tuples(st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")), st.sampled_from(GLOBS)),
    min_size=1,
    max_size=2,
)


def selector(drawn: list[tuple[str, str]], key: str) -> dict[str, Any]:
    return {
        "matchFieldsExpressions": [
            {"key": key, "operator": word, **({"values": [glob]} if word in ("In", "NotIn") else {})}
            for word, glob in drawn
        ]
    }


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    action = copy.deepcopy(draw(st.sampled_from(ACTIONS)))
    (body,) = action.values()
    body["processSelector"] = selector(draw(clauses), "name")
    return action


@st.composite
def documents(draw: st.DrawFn, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": name, "type": "cluster"},
        "spec": {
            "mode": draw(st.sampled_from(("audit", "enforce"))),
            "enabled": draw(st.sampled_from(("true", "true", "true", "false"))),
            "clusterSelector": selector(draw(clauses), "name"),
            "response": {
                "default": draw(st.lists(st.sampled_from(ACTIONS), max_size=1)),
                "actions": draw(st.lists(entries(), max_size=2)),
            },
        },
    }


@st.composite
def two_sets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    old = [draw(documents(name)) for name in draw(st.sampled_from((("p",), ("p", "q"))))]
    new = copy.deepcopy(old)
    for document in new:
        what = draw(st.sampled_from(("keep", "mode", "scope", "add", "drop")))
        actions = document["spec"]["response"]["actions"]
        if what == "mode":
            document["spec"]["mode"] = draw(st.sampled_from(("audit", "enforce")))
        elif what == "scope":
            document["spec"]["clusterSelector"] = selector(draw(clauses), "name")
        elif what == "add":
            actions.append(draw(entries()))
        elif what == "drop":
            actions[:1] = []
    return old, new


def every_event() -> list[dict[str, Any]]:
    objects: list[Any] = [None, *({} if value is None else {"name": value} for value in VALUES)]
    events = [
        {"cluster": cluster, "process": process, "pod": pod}
        for cluster, process, pod in itertools.product(objects, objects, (None, {}))
    ]
    return events + [{**event, "policy_name": name} for event in events for name in ("p", "q")]


def bag(plan: dict[str, Any]) -> list[Any]:
    return sorted(
        (action["action"], sorted(action["parameters"].items()), action["disposition"]) for action in plan["actions"]
    )


@settings(max_examples=60)
@given(two_sets(), st.sampled_from(s.OPTIONS))
def test_no_difference_is_missed_and_none_made_up(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]]], options: dict[str, Any]
) -> None:
    old, new = (spyderresp.from_documents(held) for held in case)
    found = meant(case, **options)
    meaning = reference.Options(**options)
    for flipped in found.changed:
        for way in flipped.differences:
            if way.event is not None:
                before, after = (bag(reference.evaluate(held, way.event, meaning)) for held in (old, new))
                assert (before != after) == bool(way.changes)
            assert way.changes or way.note
    if not found.changed:
        for event in every_event():
            assert bag(reference.evaluate(old, event, meaning)) == bag(reference.evaluate(new, event, meaning)), event


def meant(case: tuple[list[dict[str, Any]], list[dict[str, Any]]], **options: Any) -> SemanticDiff:
    old, new = (spyderresp.Engine(spyderresp.from_documents(held), **options) for held in case)
    return compare_meanings(old, new, Options(**options))


def one(**spec: Any) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "spyderbat/v1",
            "kind": "SpyderbatPolicy",
            "metadata": {"name": "p", "type": "cluster"},
            "spec": {"mode": "enforce", "clusterSelector": {"name": "prod-*"}, **spec},
        }
    ]


def test_what_is_rewritten_and_means_the_same_is_no_difference() -> None:
    kill = {"agentKillPod": {"namespaceSelector": {"matchLabels": {"env": ["a", "b"]}}}}
    halves = [{"agentKillPod": {"namespaceSelector": {"matchLabels": {"env": value}}}} for value in "ab"]
    found = meant((one(response={"actions": [kill]}), one(response={"actions": halves})))
    assert (found.changed, found.unchanged) == ((), 0)
    assert found.rewritten == 2


def test_a_wider_kill_is_destructive_and_shown() -> None:
    narrow, wide = (
        one(response={"actions": [{"agentKillProcess": {"processSelector": {"name": glob}}}]}) for glob in ("sh", "*sh")
    )
    (flipped,) = meant((narrow, wide)).changed
    (way,) = flipped.differences
    assert (flipped.kind, flipped.destructive, way.side) == ("changed", True, "new")
    assert way.event is not None
    assert way.event["process"]["name"] != "sh"
    assert way.event["process"]["name"].endswith("sh")
    (back,) = meant((wide, narrow)).changed
    assert (back.destructive, back.differences[0].side, back.differences[0].event) == (False, "old", way.event)
