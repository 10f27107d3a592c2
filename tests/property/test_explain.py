"""An explanation never disagrees with the plan, nor with the oracle about a clause."""

from __future__ import annotations

import json
from typing import Any

import strategies as s
from hypothesis import given
from hypothesis import strategies as st

import spyderresp
from spyderresp import reference


@given(s.policy_sets(min_size=1), s.events(), st.sampled_from(s.OPTIONS))
def test_agrees_with_evaluate_and_with_the_oracle(
    documents: list[dict[str, Any]], event: dict[str, Any], options: dict[str, Any]
) -> None:
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies, **options)
    plan = engine.evaluate(event)
    said = engine.explain(event)
    assert said.plan == plan
    assert tuple(policy.policy for policy in said.policies if policy.in_scope) == plan.policies
    fired = sorted(
        (policy.location, entry.section, entry.index)
        for policy in said.policies
        for entry in policy.entries
        if entry.fired
    )
    places = {
        entry.location: (policy.location, entry.section, entry.index) for policy in policies for entry in policy.entries
    }
    assert fired == sorted(places[source.location] for action in plan for source in action.sources)
    assert len(said.policies) == len(policies)
    for policy, reason in zip(policies, said.policies, strict=True):
        assert len(reason.entries) == len(policy.entries)
        assert reason.in_scope == reference.applies(policy, event, reference.Options(**options))
        check_selectors(policy.selectors, reason, event, options)
        for entry, why in zip(policy.entries, reason.entries, strict=True):
            check_selectors(entry.selectors, why, event, options)
    assert json.loads(json.dumps(said.to_dict()))["policies"]


def check_selectors(selectors: Any, reason: Any, event: dict[str, Any], options: dict[str, Any]) -> None:
    opts = reference.Options(**options)
    if not reason.selectors:
        return
    holds = True
    for selector, why in zip(selectors, reason.selectors, strict=True):
        if event.get(selector.scope) is None:
            assert why.status in ("absent", "excused")
            holds &= why.status == "excused"
            continue
        assert (why.status == "holds") == reference.matches(selector, event, opts)
        holds &= why.holds
        for clause, verdict in zip(selector.clauses, why.clauses, strict=True):
            value = reference.value_of(selector.scope, clause.key, event[selector.scope])
            assert verdict.value == value
            assert verdict.holds == reference.holds(clause, value, opts)
            assert verdict.location == clause.location
    assert holds == (reason.in_scope if hasattr(reason, "in_scope") else reason.fired)
    if not holds and reason.deciding is not None:
        assert not reason.deciding.holds
    if holds:
        assert reason.deciding is None
