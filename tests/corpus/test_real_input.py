"""Real records through the adapters and the vendor's policies: the main job on real input."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from plans import core

import spyderresp
from spyderresp.decision import reference


@pytest.fixture(scope="module")
def events(corpus: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((corpus / "corpus" / "vendor_events").glob("*.gz")):
        with gzip.open(path) as lines:
            for line in lines:
                try:
                    found.append(spyderresp.adapt(json.loads(line)))
                except spyderresp.EventError as error:
                    assert error.path == "schema"
    return found


def test_plans_of_real_events(corpus: Path, events: list[dict[str, Any]]) -> None:
    policies = spyderresp.load(corpus / "corpus" / "vendor_policies")
    plans = spyderresp.Engine(policies).evaluate_many(events)
    assert len(plans) == 11_523 + 601
    in_scope = Counter(name for plan in plans for name in plan.policies)
    assert in_scope == {
        "docker.service-policy": 7_153,
        "kubelet.service-policy": 82,
        "systemd-journald.service-policy": 5,
        "rpcbind.service-policy": 5,
        "systemd-networkd.service-policy": 5,
        "systemd-resolved.service-policy": 5,
        "dbus.service-policy": 5,
        "systemd-logind.service-policy": 5,
        "systemd-tmpfiles-clean.service-policy": 1,
    }
    assert {action.disposition for plan in plans for action in plan} == {"audit"}
    for event, plan in zip(events, plans, strict=True):
        assert core(plan.to_dict()) == reference.evaluate(policies, event)


def test_plans_of_real_events_as_written(corpus: Path, events: list[dict[str, Any]]) -> None:
    """From JSON lines, remembered and explained, the same plans."""
    engine = spyderresp.Engine(spyderresp.load(corpus / "corpus" / "vendor_policies"))
    plans = engine.evaluate_many(events)
    assert engine.evaluate_jsonl("\n".join(map(json.dumps, events))) == plans
    assert [engine.explain(event).plan for event in events[::50]] == plans[::50]
