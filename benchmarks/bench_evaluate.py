"""Decisions: a stream that repeats, and one in which every value is new, for growing policy sets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from workloads import events, policies

import spyderresp
from spyderresp import reference

KEYS = ("event", "policies")
COUNT = 2_000


@pytest.mark.parametrize("fresh", [False, True], ids=["repeating", "never-seen"])
@pytest.mark.parametrize("size", [12, 1_000, 10_000])
def test_evaluate(benchmark: Any, size: int, fresh: bool) -> None:
    policy_set = policies(size)
    engine = spyderresp.Engine(policy_set)
    texts = events(COUNT, size, fresh=fresh)
    for text in texts[:3]:
        event = json.loads(text)
        wanted, found = reference.evaluate(policy_set, event), engine.evaluate(event).to_dict()
        assert [found[key] for key in KEYS] == [wanted[key] for key in KEYS]
        assert [action["disposition"] for action in found["actions"]] == [a["disposition"] for a in wanted["actions"]]

    def run(decoded: list[Any]) -> None:
        for event in decoded:
            for action in engine.evaluate(event):
                action.disposition

    benchmark.pedantic(run, setup=lambda: (([json.loads(text) for text in texts],), {}), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("size", [1_000])
def test_load_and_compile(benchmark: Any, size: int) -> None:
    policy_set = policies(size)
    benchmark(lambda: spyderresp.Engine(policy_set))
