"""Counts of a comparison over events, held against comparing the oracle's plans event by event."""

from __future__ import annotations

import copy
import json
from collections import Counter
from functools import partial
from typing import Any

import arrow_events
import pyarrow as pa
import pytest
import strategies as s
from hypothesis import given
from hypothesis import strategies as st

import spyderresp
from spyderresp.authoring.diff import Comparison, Difference
from spyderresp.authoring.diff.causes import Explained
from spyderresp.decision import reference

KILLS = {"agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree", "agentKillPod"}
LIVE = {"execute": 2, "audit": 1}


@st.composite
def two_sets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw old documents, new ones that are much like them, and events that nearly match either."""
    old, events = draw(s.cases() | s.firing_cases())
    new: list[dict[str, Any]] = []
    for document in copy.deepcopy(old):
        what = draw(st.sampled_from(("keep", "keep", "drop", "mode", "entries", "other")))
        if what == "drop":
            continue
        response = document["spec"]["response"]
        if what == "mode":
            document["spec"]["mode"] = draw(st.sampled_from(("audit", "enforce")))
        elif what == "entries":
            for section in ("default", "actions"):
                response[section] = draw(st.permutations(response[section]))[draw(st.integers(0, 1)) :]
        elif what == "other":
            response["actions"] = [*response["actions"], draw(s.entries("actions"))]
        new.append(document)
    if draw(st.booleans()):
        new.append(draw(s.policies()))
    events += draw(st.lists(s.near_events(spyderresp.from_documents(new)), max_size=4))
    return old, new, events


def bag(plan: dict[str, Any]) -> Counter[Any]:
    return Counter(
        (action["action"], tuple(sorted(action["parameters"].items())), action["disposition"])
        for action in plan["actions"]
    )


def plainly(old: dict[str, Any], new: dict[str, Any]) -> Counter[str]:
    """Count changes between two plans, one action and parameters after the other."""
    before, after = bag(old), bag(new)
    counts: Counter[str] = Counter()
    for what in {key[:2] for key in (*before, *after)}:
        left = sorted((before - after).elements(), key=str)
        right = sorted((after - before).elements(), key=str)
        gone = [item[2] for item in left if item[:2] == what]
        come = [item[2] for item in right if item[:2] == what]
        counts["changed"] += min(len(gone), len(come))
        counts["lost"] += max(0, len(gone) - len(come))
        counts["gained"] += max(0, len(come) - len(gone))
        if what[0] in KILLS and len(gone) <= 1 and len(come) <= 1 and come:
            counts["destructive"] += not gone or LIVE.get(come[0], 0) > LIVE.get(gone[0], 0)
        elif what[0] in KILLS and come:
            counts["unsure"] += 1
    counts["different"] = int(before != after)
    return counts


def compared(old: spyderresp.Engine, new: spyderresp.Engine, events: list[dict[str, Any]]) -> Difference:
    comparison = Comparison(old, new, samples=2)
    for place, event in enumerate(events, 1):
        comparison.add(event, "events", place, partial(copy.deepcopy, event))
    return comparison.result()


@given(two_sets(), st.sampled_from(s.OPTIONS))
def test_counts_are_those_of_the_oracle(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]], options: dict[str, Any]
) -> None:
    old, new = (spyderresp.from_documents(documents) for documents in case[:2])
    events = case[2] * 2
    meant = reference.Options(**options)
    wanted: Counter[str] = Counter()
    for event in events:
        wanted += plainly(reference.evaluate(old, event, meant), reference.evaluate(new, event, meant))
    engines = spyderresp.Engine(old, **options), spyderresp.Engine(new, **options)
    found = compared(*engines, events)
    assert found.events == len(events)
    for name in ("different", "gained", "lost", "changed"):
        assert getattr(found, name) == wanted[name], name
    if not wanted["unsure"]:
        assert found.destructive == wanted["destructive"]
    assert sum(finding.count for finding in found.findings) == found.gained + found.lost + found.changed
    for finding in found.findings:
        assert len(finding.shown) == min(2, finding.count) or finding.count > len(finding.shown) > 0
        for shown in finding.shown:
            event = events[shown.sample.place - 1]
            # Each sample has the very change that it is shown for.
            before, after = (engine.evaluate(event) for engine in engines)
            said = finding.change.action, finding.change.items
            assert sum((a.name, a.items, a.disposition) == (*said, finding.change.old) for a in before) != sum(
                (a.name, a.items, a.disposition) == (*said, finding.change.old) for a in after
            ) or sum((a.name, a.items, a.disposition) == (*said, finding.change.new) for a in before) != sum(
                (a.name, a.items, a.disposition) == (*said, finding.change.new) for a in after
            )
            assert shown.reason is not None
            if finding.cause.flip == "asks":
                assert fires(Explained(*engines, event), "new", finding.cause)


@given(two_sets(), st.sampled_from(s.OPTIONS), st.booleans(), st.integers(1, 6), st.integers(0, 3))
def test_by_batches_and_by_lines_what_is_found_is_the_same(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]],
    options: dict[str, Any],
    maps: bool,
    size: int,
    samples: int,
) -> None:
    old, new = (spyderresp.Engine(spyderresp.from_documents(documents), **options) for documents in case[:2])
    events = [event for event in map(arrow_events.columns, case[2]) if arrow_events.is_text(event)] * 3
    one_by_one, by_lines, by_batches = (Comparison(old, new, samples=samples) for _ in range(3))
    for place, event in enumerate(events, 1):
        one_by_one.add(event, "events", place, partial(copy.deepcopy, event))
        by_lines.add_line(json.dumps(event).encode(), "events", place, partial(copy.deepcopy, event))
    for start in range(0, len(events), size):
        held = events[start : start + size]
        by_batches.add_batch(arrow_events.batch(held, maps=maps), "events", start + 1, held.__getitem__)
    wanted = one_by_one.result()
    assert by_lines.result() == wanted
    assert by_batches.result() == wanted


@given(two_sets(), st.booleans(), st.integers(1, 6))
def test_outcomes_of_a_batch_are_those_of_its_plans(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]], maps: bool, size: int
) -> None:
    engine = spyderresp.Engine(spyderresp.from_documents(case[0]))
    events = [event for event in map(arrow_events.columns, case[2]) if arrow_events.is_text(event)] * 2
    whole = arrow_events.batch(events, maps=maps)
    chunks = [whole.slice(start, size) for start in range(0, len(events), size)]
    result = engine.evaluate_batch(pa.Table.from_batches(chunks, whole.schema))
    assert (result.outcomes.type, len(result.outcomes)) == (pa.int32(), len(events))
    assert result.outcomes.null_count == 0
    shapes = [result.shapes[number] for number in result.outcomes.to_pylist()]
    for event, shape in zip(events, shapes, strict=True):
        plan = engine.evaluate(event)
        assert (shape.policies, shape.actions) == (plan.outcome.policies, plan.outcome.actions)
    # Each number is some row's, and the first row of each comes before the first of the next.
    assert list(dict.fromkeys(result.outcomes.to_pylist())) == list(range(len(result.shapes)))


def test_a_batch_that_one_set_refuses_is_not_counted() -> None:
    old, new = (
        spyderresp.Engine(
            spyderresp.from_documents(
                [
                    {
                        "apiVersion": "spyderbat/v1",
                        "kind": "SpyderbatPolicy",
                        "metadata": {"name": "p", "type": "cluster"},
                        "spec": {"clusterSelector": {key: "*"}, "response": {"default": [{"agentKillPod": None}]}},
                    }
                ]
            )
        )
        for key in ("name", "uid")
    )
    comparison = Comparison(old, new)
    table = pa.table({"cluster": pa.array([{"name": "a", "uid": 7}])})
    with pytest.raises(spyderresp.EventError):
        comparison.add_batch(table.to_batches()[0], "events", 1, lambda _: {})
    assert comparison.result().events == 0


def fires(explained: Explained, side: Any, cause: Any) -> bool:
    return any(
        entry.fired and entry.location == cause.entry.location and entry.index == cause.entry.index
        for policy in explained.by(side).policies
        if policy.policy == cause.policy.name
        for entry in policy.entries
    )


def test_the_same_policies_differ_in_nothing() -> None:
    document = {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": "p", "type": "cluster"},
        "spec": {
            "mode": "enforce",
            "clusterSelector": {"name": "*"},
            "response": {"default": [{"agentKillPod": None}]},
        },
    }
    engine = spyderresp.Engine(spyderresp.from_documents([document]))
    found = compared(engine, engine, [{"cluster": {"name": "a"}, "pod": {}}] * 3)
    assert (found.events, found.different, found.findings) == (3, 0, ())
