"""The benchmarks' workloads and pure Python contestants give the oracle's answers; how fast is not asked here."""

from __future__ import annotations

import itertools
import json

import pytest
from peers.named import IDENTITY, attributes
from peers.python_exact import ExactAndPrefixDict, ExactDict
from peers.python_memo import MemoDict
from workloads import WORST, assert_answers, pathological, synthetic, vendor
from workloads.oracle import plain
from workloads.vendor import records

import spyderresp

WORKLOADS = [synthetic(12), synthetic(100), vendor(), pathological(200)[0], *(make(60) for make in WORST)]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_answers(workload):
    engine = workload.engine()
    texts = workload.repeating(20) + workload.fresh(10)
    assert assert_answers(workload, engine, texts)
    for kind in (MemoDict, ExactDict, ExactAndPrefixDict):
        contestant = kind(workload.policies)
        for text in texts + texts[:3]:
            event = json.loads(text)
            wanted = plain(engine.evaluate(event).to_dict())
            shape = contestant.evaluate(event)[1]
            assert list(shape.policies) == wanted["policies"]
            assert [action.to_dict() for action in shape.actions] == wanted["actions"]


def test_about_four_actions_fire_whatever_the_size():
    for size in (100, 1_000):
        workload = synthetic(size)
        engine = workload.engine()
        for texts in (workload.repeating(300), workload.fresh(300)):
            assert 3 < sum(len(engine.evaluate(json.loads(text))) for text in texts) / len(texts) < 5


def test_streams_are_the_same_every_time():
    assert synthetic(12).text == synthetic(12).text
    assert synthetic(12).repeating(5) == list(itertools.islice(synthetic(12).stream(fresh=False), 5))


def test_what_is_never_seen_never_comes_twice():
    workload = synthetic(100)
    names = attributes(workload.policies)
    seen: set[tuple[str, str, str]] = set()
    for text in workload.fresh(300):
        event = json.loads(text)
        for scope, key in names:
            held = event.get(scope) or {}
            value = (held.get("labels") or {}).get(key) if scope in ("namespace", "pod") else held.get(key)
            if value is not None:
                assert (scope, key, value) not in seen
                seen.add((scope, key, value))


def test_identity_is_that_of_plans():
    event = {scope: {key: f"{scope} {key}" for key in keys} for scope, keys in IDENTITY.items()}
    policies = spyderresp.from_documents(json.loads(WORST[-1](1).text))
    assert spyderresp.Engine(policies).evaluate(event).to_dict()["target"] == event


def test_records_are_the_vendors():
    events = [spyderresp.adapt(json.loads(text)) for text in records(20)]
    assert all(event["process"]["exe"] for event in events)
