"""Policy tests hold exactly where they should: a plan as expected of itself, and no other."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from typing import Any

import strategies as s
from hypothesis import assume, given
from hypothesis import strategies as st

import spyderresp
from spyderresp.authoring.testing.checks import check, missing_names
from spyderresp.authoring.testing.coverage import Recorder
from spyderresp.authoring.testing.expectations import differences, paired
from spyderresp.authoring.testing.suite import ExpectedAction
from spyderresp.authoring.testing.suite_files import read
from spyderresp.errors import Location
from spyderresp.policies.diagnostics import Findings, Source

Case = tuple[list[dict[str, Any]], list[dict[str, Any]]]
NOWHERE = Location("t.json", 1, 1)


def problems(engine: spyderresp.Engine, event: Any, expect: Any) -> list[str]:
    """Return what is wrong with an expectation of an event, both written down and read back."""
    test = {"name": "a", "event": event, "expect": expect}
    document = {"apiVersion": "spyderresp/v1", "kind": "ResponseTest", "policies": "p", "tests": [test]}
    findings = Findings()
    suites = read(Source("t.json", json.dumps(document)), findings)
    if findings.items:
        return [str(item) for item in findings.items]
    ((case,),) = (suite.cases for suite in suites)
    assert case.events[0].event == event
    found = [*missing_names(case.expect, engine.policies), *check(case.events[0], case.expect, engine)]
    return [problem.message for problem in found]


@st.composite
def planned(draw: st.DrawFn) -> tuple[spyderresp.Engine, dict[str, Any], dict[str, Any]]:
    """Draw policies, an event that can be written down, and its plan."""
    documents, events = draw(s.cases(max_events=1, max_size=3) | s.firing_cases())
    engine = spyderresp.Engine(spyderresp.from_documents(documents), **draw(st.sampled_from(s.OPTIONS)))
    event = draw(st.sampled_from(events))
    assume("\\ud8" not in json.dumps(event).replace("\\ud83d\\ude00", ""))
    plan = engine.evaluate(event).to_dict()
    return engine, event, plan


def mutations(value: Any) -> Iterator[Any]:
    """Yield a value with one thing in it changed, in every way."""
    if isinstance(value, dict):
        for key, held in value.items():
            yield from ({**value, key: other} for other in mutations(held))
            if held not in ({}, []):
                yield {other: kept for other, kept in value.items() if other != key}
    elif isinstance(value, list):
        for place, held in enumerate(value):
            yield from ([*value[:place], other, *value[place + 1 :]] for other in mutations(held))
            yield value[:place] + value[place + 1 :]
            yield [*value[:place], held, held, *value[place + 1 :]]
            if place and value[place - 1] != held:
                yield [*value[: place - 1], held, value[place - 1], *value[place + 1 :]]
    elif isinstance(value, int):
        yield value + 1
    else:
        yield f"{value or ''}x"


@given(planned(), st.data())
def test_a_plan_in_whole_and_what_differs_in_one_thing(case: Any, data: st.DataObject) -> None:
    engine, event, plan = case
    assert problems(engine, event, {"plan": "whole", **plan}) == []
    changed = [
        {**plan, key: other}
        for key, held in plan.items()
        for other in mutations(held)
        if key != "event" or event.get("id")
    ]
    for wrong in data.draw(st.lists(st.sampled_from(changed), max_size=8)):
        assert problems(engine, event, {"plan": "whole", **wrong}), wrong


@given(planned(), st.data())
def test_a_plan_in_part(case: Any, data: st.DataObject) -> None:
    engine, event, plan = case
    # Otherwise a test must say so.
    assume(plan.get("attribution", {"outcome": "matched"})["outcome"] == "matched")
    said = []
    for action in plan["actions"]:
        keys = data.draw(st.lists(st.sampled_from(sorted(action)), min_size=1, unique=True))
        some = {key: action[key] for key in keys}
        some.update(data.draw(st.sampled_from(action["sources"])) if data.draw(st.booleans()) else {})
        said.append(some)
    assert problems(engine, event, {"actions": said}) == []
    if said:
        assert problems(engine, event, said[1:])
        assert problems(engine, event, [*said, said[-1]])
        some = data.draw(st.lists(st.sampled_from(range(len(said))), unique=True, min_size=1))
        assert problems(engine, event, {"plan": "contains", "actions": [said[place] for place in some]}) == []
        refused = data.draw(st.sampled_from(said))
        assert problems(engine, event, {"none_of": [refused]})
        other = {**plan["actions"][0], "reason": "another"}
        assert problems(engine, event, {"none_of": [other]}) == []


bodies = st.fixed_dictionaries(
    {},
    optional={"action": st.sampled_from("ab"), "disposition": st.sampled_from("xy"), "reason": st.sampled_from("mn")},
)
full = st.fixed_dictionaries(
    {"action": st.sampled_from("ab"), "disposition": st.sampled_from("xy"), "reason": st.sampled_from("mn")}
).map(lambda held: {**held, "parameters": {}, "sources": []})


@given(st.lists(bodies, max_size=4), st.lists(full, max_size=5), st.sampled_from(("exactly", "contains")))
def test_paired_against_every_way(said: list[Any], actions: list[Any], how: Any) -> None:
    expected = [ExpectedAction(item, NOWHERE) for item in said]
    pairs = paired(how, expected, actions)
    assert sorted(pair.expected for pair in pairs if pair.expected is not None) == list(range(len(expected)))
    assert sorted(pair.got for pair in pairs if pair.got is not None) == list(range(len(actions)))
    for pair in pairs:
        if pair.expected is not None and pair.got is not None:
            assert pair.differences == differences(expected[pair.expected], actions[pair.got])
    fits = [[not differences(item, action) for action in actions] for item in expected]
    if how == "contains":
        ways = itertools.permutations(range(len(actions)), len(expected))
        possible = any(all(fits[want][place] for want, place in enumerate(way)) for way in ways)
        assert all(pair.agrees for pair in pairs if pair.expected is not None) == possible
    else:
        possible = len(said) == len(actions) and all(fits[place][place] for place in range(len(actions)))
        assert all(pair.agrees for pair in pairs) == possible
        assert [pair.got for pair in pairs if pair.got is not None] == list(range(len(actions)))


@given(s.cases(max_events=4))
def test_coverage_is_what_plans_and_explanations_say(case: Case) -> None:
    documents, events = case
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies)
    recorder = Recorder()
    recorder.add_policies(policies)
    recorder.add_policies(policies)
    fired, held = set(), {True: set(), False: set()}
    for event in events:
        said = engine.explain(copy.deepcopy(event))
        recorder.record(said, policies)
        fired |= {source.location for action in said.plan for source in action.sources}
        fired |= {policy.location for policy in said.policies if policy.in_scope}
        for policy in said.policies:
            for selector in (*policy.selectors, *(one for entry in policy.entries for one in entry.selectors)):
                for clause in selector.clauses:
                    held[clause.holds].add(clause.location)
    coverage = recorder.coverage()
    enabled = [policy for policy in policies if policy.enabled]
    entries = [entry for policy in enabled for entry in policy.entries if entry.enabled]
    assert coverage.counts("policies")[1] == len(enabled)
    assert coverage.counts("actions")[1] == len(entries)
    for place in coverage.places:
        covered = place.location in (held[True] & held[False] if place.what == "clauses" else fired)
        assert covered == (not place.missing), place


WEIRD = st.sampled_from(
    (None, "", "x", "7", "-1", 7, True, [], {}, [[]], [None], {"": None}, {"x": "y"}, "a\0b", ["x", ["y"]], "9" * 5000)
)
DOCUMENT: dict[str, Any] = {
    "apiVersion": "spyderresp/v1",
    "kind": "ResponseTest",
    "name": "n",
    "policies": ["nowhere"],
    "strict": "no",
    "defaults": "always",
    "form": "normal",
    "tests": [
        {
            "name": "a",
            "event": {"process": {"name": "x"}},
            "expect": {
                "plan": "contains",
                "actions": [
                    {"action": "makeRedFlag", "parameters": {"severity": "high"}, "policy": "p", "index": 1},
                    {"sources": [{"policy": "p", "section": "default", "index": 0}], "disposition": "audit"},
                ],
                "none_of": ["agentKillPod"],
                "policies": ["p"],
                "attribution": "matched",
                "target": {"process": {}},
            },
        },
        {
            "name": "b",
            "events": [{}],
            "rows": [{"name": "r", "with": {"pod": None}, "expect": {"error": {"path": "x"}}}],
        },
        {"name": "c", "file": "gone.jsonl", "line": 3, "expect": []},
    ],
}


def replaced(value: Any, weird: Any) -> Iterator[Any]:
    """Yield a value with one thing in it replaced, in every place; and with the thing as one more."""
    yield weird
    if isinstance(value, dict):
        for key, held in value.items():
            yield from ({**value, key: other} for other in replaced(held, weird))
        yield {**value, "other": weird}
    elif isinstance(value, list):
        for place, held in enumerate(value):
            yield from ([*value[:place], other, *value[place + 1 :]] for other in replaced(held, weird))
        yield [*value, weird]


@given(WEIRD, WEIRD, st.data())
def test_no_document_is_too_odd_to_be_read(weird: Any, other: Any, data: st.DataObject) -> None:
    """Whatever stands where: it is a finding with a place, or it runs."""
    document = data.draw(st.sampled_from(list(replaced(DOCUMENT, weird))))
    if data.draw(st.booleans()):
        document = data.draw(st.sampled_from(list(replaced(document, other))))
    findings = Findings()
    suites = read(Source("t.json", json.dumps(document)), findings)
    assert all(item.location.line >= 1 and item.message for item in findings.items)
    engine = spyderresp.Engine(spyderresp.from_documents([]))
    for case in (case for suite in suites for case in suite.cases):
        missing_names(case.expect, engine.policies)
        for event in case.events:
            for problem in check(event, case.expect, engine):
                assert problem.message
