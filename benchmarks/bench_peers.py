"""Other ways to decide the same events."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from rounds import decoded_rounds
from rows.others import same_plans
from workloads import synthetic

_PEERS = [
    ("python_memo", "MemoDict"),
    ("python_exact", "ExactDict"),
    ("python_exact", "ExactAndPrefixDict"),
    ("zen_engine", "Zen"),
    ("cedar", "Cedar"),
    ("cel_rust", "Cel"),
    ("datalogic", "DataLogic"),
]


@pytest.mark.parametrize("fresh", [False, True], ids=["repeating", "never-seen"])
@pytest.mark.parametrize("peer", _PEERS, ids=lambda peer: peer[1])
def test_peer(benchmark: Any, peer: tuple[str, str], fresh: bool) -> None:
    """At 100 policies, so that those which look at every policy end soon; the report has the larger sets."""
    try:
        module = importlib.import_module(f"peers.{peer[0]}")
    except ImportError as error:
        pytest.skip(f"not installed: {error}")
    workload = synthetic(100)
    contestant = getattr(module, peer[1])(workload.policies)
    same_plans(workload, workload.engine(), contestant, [*workload.repeating(10), *workload.fresh(10)])

    def run(events: list[Any]) -> None:
        for event in events[:200]:
            for action in contestant.evaluate(event)[1].actions:
                action.name
                action.disposition

    decoded_rounds(benchmark, run, workload.stream(fresh=fresh, start=100))
    benchmark.extra_info["events"] = 200
