"""The index is the oracle, always: differential tests against spyderresp/decision/reference.py."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import strategies as s
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import core

import spyderresp
from spyderresp.decision import reference

Case = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def outcome(decide: Any, *args: Any) -> tuple[str, Any]:
    """Return the normative part of a plan, or the path that refuses the event."""
    try:
        plan = decide(*args)
    except spyderresp.EventError as error:
        return "error", error.path
    return "plan", plan if isinstance(plan, dict) else core(plan.to_dict())


def expected(policies: spyderresp.PolicySet, event: Any, options: dict[str, Any]) -> tuple[str, Any]:
    return outcome(reference.evaluate, policies, event, reference.Options(**options))


@given(s.cases(bad=True, min_size=0), st.sampled_from(s.OPTIONS))
def test_every_entry_point_equals_the_oracle(case: Case, options: dict[str, Any]) -> None:
    documents, events = case
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies, **options)
    wanted = [expected(policies, event, options) for event in events]
    assert [outcome(engine.evaluate, event) for event in events] == wanted
    assert [outcome(engine.evaluate, event) for event in events] == wanted, "remembered"
    engine.replace(policies)
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


@given(s.cases(bad=True), st.randoms(use_true_random=False))
def test_events_that_were_read_before_change_nothing(case: Case, random: Any) -> None:
    """Again and again, in any order, and decoded again: the layouts that reading has learned must never matter."""
    documents, events = case
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies)
    wanted = [expected(policies, event, {}) for event in events]
    places = list(range(len(events)))
    for place in [*places, *random.sample(places, len(places)), *places]:
        event = events[place]
        for copy in [event, json.loads(json.dumps(event))] if s.is_json([event]) else [event]:
            assert outcome(engine.evaluate, copy) == wanted[place]


@given(s.firing_cases())
@settings(max_examples=3 * settings().max_examples)
def test_what_fired_is_merged_ordered_and_disposed_of_as_the_oracle_does(case: Case) -> None:
    documents, events = case
    policies = spyderresp.from_documents(documents)
    for options in s.OPTIONS:
        engine = spyderresp.Engine(policies, **options)
        for event in events:
            assert outcome(engine.evaluate, event) == expected(policies, event, options)


@given(s.cases(max_events=2), st.sampled_from(s.WRAPPERS), st.sampled_from(s.OPTIONS))
def test_other_mappings_and_text_subclasses(case: Case, wrap: Any, options: dict[str, Any]) -> None:
    documents, events = case
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies, **options)
    for event in events:
        event.pop("id", None)
        assert outcome(engine.evaluate, s.wrapped(event, wrap)) == expected(policies, event, options)


@given(s.policy_sets(min_size=1), s.events(), st.sampled_from(s.HOSTILE), st.sampled_from(s.SCOPES))
def test_hostile_texts(documents: list[dict[str, Any]], event: dict[str, Any], text: str, scope: str) -> None:
    event[scope] = dict.fromkeys(("name", "exe", "image", "hostname", "cgroup"), text)
    event[scope]["labels"] = {"app": text, "env": text}
    policies = spyderresp.from_documents(documents)
    assert outcome(spyderresp.Engine(policies).evaluate, event) == expected(policies, event, {})


odd_texts = st.text("ab*?[]!-\x00\ud800\udc00\U0001f600e\u0301\u2028\n\\&|~^", max_size=6)


@given(
    st.lists(st.lists(odd_texts, min_size=1, max_size=3), min_size=1, max_size=4),
    st.sampled_from(("In", "NotIn")),
    st.lists(odd_texts, min_size=1, max_size=4),
)
def test_any_text_as_pattern_and_as_value(patterns: list[list[str]], operator: str, values: list[str]) -> None:
    policies = spyderresp.from_documents(
        policy(f"p{number}", {"matchFieldsExpressions": [{"key": "name", "operator": operator, "values": some}]})
        for number, some in enumerate(patterns)
    )
    engine = spyderresp.Engine(policies)
    for value in (*values, *(text for some in patterns for text in some)):
        event = {"cluster": {"name": value}}
        assert outcome(engine.evaluate, event) == expected(policies, event, {})


@given(s.cases(bad=True, min_size=0), s.policies(), st.integers(0, 6))
def test_a_policy_that_cannot_match_changes_only_what_is_checked(case: Case, extra: dict[str, Any], place: int) -> None:
    documents, events = case
    needed = {"cluster": "cluster", "container": "container", "linux-service": "service"}
    scope = needed[extra["metadata"]["type"]]
    field = {"cluster": "name", "container": "image", "service": "name"}[scope]
    extra["spec"][f"{scope}Selector"] = {
        "matchFieldsExpressions": [{"key": field, "operator": "Exists"}, {"key": field, "operator": "DoesNotExist"}]
    }
    # Another name than any event's: attributed to it, an event would excuse a selector whose object is absent.
    extra["metadata"]["name"] = "never"
    before = spyderresp.Engine(spyderresp.from_documents(documents))
    after = spyderresp.Engine(spyderresp.from_documents([*documents[:place], extra, *documents[place:]]))
    assert before.policies.digest != after.policies.digest
    added = reference.named(after.policies) - reference.named(before.policies)
    for event in events:
        kind, found = outcome(after.evaluate, event)
        if kind == "plan":
            assert outcome(before.evaluate, event) == (kind, found)
        elif found != outcome(before.evaluate, event)[1]:
            assert found.partition(".")[0] in {name for name, _ in added}


@given(s.cases(), st.sampled_from(("always", "unless-overridden")))
def test_audit_differs_in_dispositions_alone(case: Case, defaults: Any) -> None:
    """The option, and every policy's own mode, say the same; what is superseded in earnest is so in audit too.

    The reverse does not hold: an audit action never supersedes one that is executed.
    """
    documents, events = case
    policies = spyderresp.from_documents(documents)
    quiet = spyderresp.from_documents(
        [{**document, "spec": {**document["spec"], "mode": "audit"}} for document in documents]
    )
    engines = (
        spyderresp.Engine(policies, defaults=defaults),
        spyderresp.Engine(policies, defaults=defaults, mode="audit"),
        spyderresp.Engine(quiet, defaults=defaults),
    )
    for event in events:
        live, audit, by_policy = (core(engine.evaluate(event).to_dict()) for engine in engines)
        assert audit == by_policy
        pairs = [
            (action.pop("disposition"), other.pop("disposition"))
            for action, other in zip(live["actions"], audit["actions"], strict=True)
        ]
        assert live == audit
        assert set(pairs) <= {
            ("execute", "audit"),
            ("execute", "superseded"),
            ("audit", "audit"),
            ("superseded", "superseded"),
            ("not_applicable", "not_applicable"),
        }


@given(s.cases(bad=True), st.randoms(use_true_random=False))
def test_the_order_of_an_events_keys_means_nothing(case: Case, random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = [(key, shuffled(item)) for key, item in value.items()]
        random.shuffle(items)
        return dict(items)

    documents, events = case
    engine = spyderresp.Engine(spyderresp.from_documents(documents))
    for event in events:
        assert outcome(engine.evaluate, event) == outcome(engine.evaluate, shuffled(event))


@given(s.cases(max_size=3))
def test_formatting_means_nothing(case: Case) -> None:
    documents, events = case
    texts = (
        json.dumps(documents),
        json.dumps({"apiVersion": "v1", "items": documents}, indent=3),
        yaml.safe_dump_all(documents, allow_unicode=True, width=20),
        yaml.safe_dump_all(documents, default_flow_style=True, default_style='"'),
    )
    held = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(held)
    plans = [engine.evaluate(event).to_json() for event in events]
    for text in texts:
        policies = spyderresp.loads(text)
        assert policies.digest == held.digest
        assert [spyderresp.Engine(policies).evaluate(event).to_json() for event in events] == plans


def policy(name: str, selector: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": name, "type": "cluster"},
        "spec": {"mode": "audit", "clusterSelector": selector, **more},
    }


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
@pytest.mark.parametrize("first", [0, 1], ids=["alone", "among others"])
@pytest.mark.parametrize("not_in", ["kubernetes", "documented"])
def test_each_way_to_post_a_policy_finds_it(pivot: str, first: int, not_in: Any) -> None:
    """Each loop of the compiler's `_post` is needed, as tried by taking it out.

    Without `posts.values[...].append` the exact values fail, without `posts.globs[...].append` the globs and the
    mixed ones, without `posts.scopes[...].append` NotIn, Exists, DoesNotExist; and with `exact` true of a predicate
    that holds of other values, or of absence, NotIn, Exists and DoesNotExist fail as well (NotIn as documented alone
    shows the former).
    """
    selector, inside, outside = PIVOTS[pivot]
    others = [policy(f"o{number}", {"uid": "other"}) for number in range(first)]
    policies = spyderresp.from_documents([*others, policy("p", selector), *others])
    engine = spyderresp.Engine(policies, not_in=not_in)
    for names, found in ((inside, ("p",)), (outside, ())):
        for name in names:
            absent = name is None and pivot == "NotIn only" and not_in == "documented"
            for _ in range(2):
                assert engine.evaluate({"cluster": {"name": name}}).policies == (() if absent else found), name
    for absent in ({"cluster": None}, {}, {"machine": {"name": "a"}}):
        assert engine.evaluate(absent).policies == ()


def test_the_rarest_value_is_the_pivot_and_the_rest_is_verified() -> None:
    """One policy in two scopes, whose pivot is the value that fewest share; both must hold."""
    several = [policy(f"p{n}", {"name": "shared"}, machineSelector={"hostname": f"h{n}"}) for n in range(5)]
    engine = spyderresp.Engine(spyderresp.from_documents(several))
    for host in range(5):
        event = {"cluster": {"name": "shared"}, "machine": {"hostname": f"h{host}"}}
        assert engine.evaluate(event).policies == (f"p{host}",)
        assert engine.evaluate({**event, "cluster": {"name": "other"}}).policies == ()
        assert engine.evaluate({"machine": event["machine"]}).policies == ()


def test_policies_in_scope_are_in_policy_order_however_they_were_found() -> None:
    """Scope postings are looked at before values, values before globs: none of that shows in the plan."""
    selectors = (
        {"name": "a*"},
        {"name": "a"},
        {"matchFieldsExpressions": [{"key": "name", "operator": "Exists"}]},
        {"uid": "u"},
        {"name": ["?", "b"]},
        {"matchFieldsExpressions": [{"key": "uid", "operator": "NotIn", "values": ["v"]}]},
    )
    event = {"cluster": {"name": "a", "uid": "u"}}
    for order in itertools.permutations(selectors):
        policies = spyderresp.from_documents(policy(f"p{place}", selector) for place, selector in enumerate(order))
        assert spyderresp.Engine(policies).evaluate(event).policies == tuple(f"p{place}" for place in range(6))


def test_a_given_label_outranks_what_the_name_implies() -> None:
    label = "kubernetes.io/metadata.name"
    documents = [policy("p", {"name": "c"}, namespaceSelector={"matchLabels": {label: "a"}})]
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies)
    for name in ("a", "b", None):
        for said in ("a", "b", None):
            event = {"cluster": {"name": "c"}, "namespace": {"name": name, "labels": {label: said}}}
            assert outcome(engine.evaluate, event) == expected(policies, event, {})
            assert engine.evaluate(event).policies == (("p",) if (said or name) == "a" else ())


def test_the_memo_tells_attributions_apart() -> None:
    """Equal values but for what the event is attributed to: by uid, by name, to none, to one unknown or disabled."""
    documents = [policy(f"p{number}", {"name": "a"}) for number in range(3)]
    documents.append(policy("off", {"name": "a"}, enabled="false"))
    for number, document in enumerate(documents):
        document["metadata"]["uid"] = f"u{number}"
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies)
    attributions: list[dict[str, Any]] = [
        {},
        *({"policy_uid": f"u{number}"} for number in range(5)),
        *({"policy_name": name} for name in ("p0", "p1", "p2", "off", "unknown")),
        {"policy_uid": "u0", "policy_name": "p1"},
    ]
    for _ in range(3):
        for attribution in attributions:
            event = {"cluster": {"name": "a"}, **attribution}
            assert outcome(engine.evaluate, event) == expected(policies, event, {})


def test_the_memos_are_hit_and_bounded() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([policy("p", {"name": ["a", "b*"]})]))
    for name in ("a", "a", "b1", "b2", "c", "d", None):
        engine.evaluate({"cluster": {"name": name}})
    stats = engine.stats()
    # Of the seven events three repeat another's ids (a, b2 as b1, d as c), and two more another's fired entries.
    assert (stats["evaluated"], stats["memo_hits"], stats["fired_hits"]) == (7, 3, 2)
    assert stats["memo_used"] <= stats["memo_slots"]
