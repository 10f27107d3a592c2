"""The index is the oracle, always: differential tests against spyderresp/reference.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
import strategies as s
import yaml
from hypothesis import given
from hypothesis import strategies as st
from plans import core

import spyderresp
from spyderresp import reference


def outcome(decide: Any, *args: Any) -> tuple[str, Any]:
    """Return the normative part of a plan, or the path that refuses the event."""
    try:
        plan = decide(*args)
    except spyderresp.EventError as error:
        return "error", error.path
    return "plan", plan if isinstance(plan, dict) else core(plan.to_dict())


def expected(policies: spyderresp.PolicySet, event: Any, options: dict[str, Any]) -> tuple[str, Any]:
    return outcome(reference.evaluate, policies, event, reference.Options(**options))


@given(s.policy_sets(), st.lists(s.events(bad=True), min_size=1, max_size=6), st.sampled_from(s.OPTIONS))
def test_every_entry_point_equals_the_oracle(
    documents: list[dict[str, Any]], events: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies, **options)
    wanted = [expected(policies, event, options) for event in events]
    assert [outcome(engine.evaluate, event) for event in events] == wanted
    assert [outcome(engine.evaluate, event) for event in events] == wanted, "remembered"
    engine._compiled.index.forget()
    assert [outcome(engine.evaluate, event) for event in events] == wanted, "forgotten"
    collected = engine.evaluate_many(events, on_error="collect")
    assert [outcome(lambda p=p: raised(p)) for p in collected] == wanted
    if s.is_json(events):
        lines = [json.dumps(event) for event in events]
        assert [outcome(engine.evaluate_json, line) for line in lines] == wanted
        assert [outcome(engine.evaluate_json, line.encode()) for line in lines] == wanted
        collected = engine.evaluate_jsonl("\n\n".join(lines), on_error="collect")
        assert [outcome(lambda p=p: raised(p)) for p in collected] == wanted


def raised(value: Any) -> Any:
    if isinstance(value, spyderresp.EventError):
        raise value
    return value


@given(s.policy_sets(min_size=1), s.events(), st.sampled_from(s.WRAPPERS), st.sampled_from(s.OPTIONS))
def test_other_mappings_and_text_subclasses(
    documents: list[dict[str, Any]], event: dict[str, Any], wrap: Any, options: dict[str, Any]
) -> None:
    event.pop("id", None)
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies, **options)
    assert outcome(engine.evaluate, s.wrapped(event, wrap)) == expected(policies, event, options)


@given(s.policy_sets(min_size=1), s.events(), st.sampled_from(s.HOSTILE), st.sampled_from(s.SCOPES))
def test_hostile_texts(documents: list[dict[str, Any]], event: dict[str, Any], text: str, scope: str) -> None:
    event[scope] = dict.fromkeys(("name", "exe", "image", "hostname", "cgroup"), text)
    event[scope]["labels"] = {"app": text, "env": text}
    policies = spyderresp.from_documents(documents)
    assert outcome(spyderresp.Engine(policies).evaluate, event) == expected(policies, event, {})


@given(s.policy_sets(), s.policies(), st.lists(s.events(), min_size=1, max_size=4), st.integers(0, 6))
def test_a_policy_that_cannot_match_changes_nothing(
    documents: list[dict[str, Any]], extra: dict[str, Any], events: list[dict[str, Any]], place: int
) -> None:
    spec, needed = extra["spec"], {"cluster": "cluster", "container": "container", "linux-service": "service"}
    scope = needed[extra["metadata"]["type"]]
    field = {"cluster": "name", "container": "image", "service": "name"}[scope]
    spec[f"{scope}Selector"] = {
        "matchFieldsExpressions": [{"key": field, "operator": "Exists"}, {"key": field, "operator": "DoesNotExist"}]
    }
    extra["metadata"]["name"] = "never"
    for event in events:
        # An attributed event excuses the selector where the object is absent; then it may match.
        event.pop("policy_name", None)
        event.pop("policy_uid", None)
    before = spyderresp.Engine(spyderresp.from_documents(documents))
    after = spyderresp.Engine(spyderresp.from_documents([*documents[:place], extra, *documents[place:]]))
    for event in events:
        assert outcome(before.evaluate, event) == outcome(after.evaluate, event)


@given(s.policy_sets(min_size=1), s.events())
def test_audit_differs_in_dispositions_alone(documents: list[dict[str, Any]], event: dict[str, Any]) -> None:
    policies = spyderresp.from_documents(documents)
    live = core(spyderresp.Engine(policies).evaluate(event).to_dict())
    audit = core(spyderresp.Engine(policies, mode="audit").evaluate(event).to_dict())
    assert "execute" not in {action["disposition"] for action in audit["actions"]}
    for plan in (live, audit):
        for action in plan["actions"]:
            if action["disposition"] != "not_applicable":
                del action["disposition"]
    assert live == audit


@given(s.policy_sets(min_size=1), s.events(bad=True), st.randoms(use_true_random=False))
def test_the_order_of_an_events_keys_means_nothing(
    documents: list[dict[str, Any]], event: dict[str, Any], random: Any
) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = [(key, shuffled(item)) for key, item in value.items()]
        random.shuffle(items)
        return dict(items)

    engine = spyderresp.Engine(spyderresp.from_documents(documents))
    assert outcome(engine.evaluate, event) == outcome(engine.evaluate, shuffled(event))


@given(s.policy_sets(min_size=1, max_size=3), s.events())
def test_formatting_means_nothing(documents: list[dict[str, Any]], event: dict[str, Any]) -> None:
    texts = (
        json.dumps(documents),
        json.dumps({"apiVersion": "v1", "items": documents}, indent=3),
        yaml.safe_dump_all(documents, allow_unicode=True, width=20),
        yaml.safe_dump_all(documents, default_flow_style=True, default_style='"'),
    )
    held = spyderresp.from_documents(documents)
    plan = spyderresp.Engine(held).evaluate(event).to_json()
    for text in texts:
        policies = spyderresp.loads(text)
        assert policies.digest == held.digest
        assert spyderresp.Engine(policies).evaluate(event).to_json() == plan


PIVOTS = {
    "one exact value": ({"matchFields": {"name": "a"}}, ["a"], ["b", None]),
    "several exact values": ({"matchFields": {"name": ["a", "b"]}}, ["a", "b"], ["c", None]),
    "globs only": ({"matchFields": {"name": ["a*", "*z"]}}, ["ab", "xz", "az"], ["b", None]),
    "values and globs": ({"matchFields": {"name": ["a", "b*"]}}, ["a", "b", "bc"], ["ac", None]),
    "a literal that looks like a glob": ({"matchFields": {"name": "[a"}}, ["[a"], ["a", None]),
    "a class of one": ({"matchFields": {"name": "[*]"}}, ["*"], ["a", None]),
    "NotIn only": (
        {"matchFieldsExpressions": [{"key": "name", "operator": "NotIn", "values": ["a"]}]},
        ["b", None],
        ["a"],
    ),
    "Exists only": ({"matchFieldsExpressions": [{"key": "name", "operator": "Exists"}]}, ["b", ""], [None]),
    "DoesNotExist only": ({"matchFieldsExpressions": [{"key": "name", "operator": "DoesNotExist"}]}, [None], ["a", ""]),
}


@pytest.mark.parametrize("pivot", PIVOTS)
def test_each_way_to_post_a_policy_finds_it(pivot: str) -> None:
    """Fails where the compiler's `_post` leaves out the posting of this kind: the values, the globs, or the scope."""
    selector, inside, outside = PIVOTS[pivot]
    policies = spyderresp.from_documents(
        [
            {
                "apiVersion": "spyderbat/v1",
                "kind": "SpyderbatPolicy",
                "metadata": {"name": f"p{number}", "type": "cluster"},
                "spec": {"mode": "audit", "clusterSelector": selector if number == 1 else {"uid": "other"}},
            }
            for number in range(3)
        ]
    )
    engine = spyderresp.Engine(policies)
    for names, found in ((inside, ("p1",)), (outside, ())):
        for name in names:
            assert engine.evaluate({"cluster": {"name": name}}).policies == found, name
    assert engine.evaluate({"cluster": None}).policies == ()
