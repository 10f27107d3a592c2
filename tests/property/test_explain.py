"""An explanation never disagrees with the plan, nor with the oracle about a clause."""

from __future__ import annotations

import json
from typing import Any

import pytest
import strategies as s
from hypothesis import given
from hypothesis import strategies as st

import spyderresp
from spyderresp.decision import reference

Case = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@given(s.cases(bad=True, max_events=3), st.sampled_from(s.OPTIONS))
def test_agrees_with_evaluate_and_with_the_oracle(case: Case, options: dict[str, Any]) -> None:
    documents, events = case
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies, **options)
    for event in events:
        try:
            plan = engine.evaluate(event)
        except spyderresp.EventError as error:
            with pytest.raises(spyderresp.EventError) as caught:
                engine.explain(event)
            assert caught.value.path == error.path
            continue
        said = engine.explain(event)
        assert said.plan == plan
        check_policies(policies, said, event, reference.Options(**options))
        check_json(said)


def check_policies(policies: Any, said: Any, event: dict[str, Any], options: reference.Options) -> None:
    assert tuple(policy.policy for policy in said.policies if policy.in_scope) == said.plan.policies
    fired = sorted(entry.location for policy in said.policies for entry in policy.entries if entry.fired)
    assert fired == sorted(source.location for action in said.plan for source in action.sources)
    for order, (policy, why) in enumerate(zip(policies, said.policies, strict=True)):
        assert why.location == policy.location
        assert (why.policy, why.uid, why.mode) == (policy.name, policy.uid, policy.mode)
        assert why.in_scope == reference.applies(policy, event, options)
        firing = [item.entry for item in reference.fire(order, policy, event, options)] if why.in_scope else []
        looked_at = policy.enabled and bears(policy, event)
        check_reason(policy.selectors, why, event, options, looked_at=looked_at, through=why.in_scope)
        for entry, reason in zip(policy.entries, why.entries, strict=True):
            assert (reason.action, reason.section, reason.index) == (entry.action, entry.section, entry.index)
            assert reason.fired == (entry in firing)
            looked_at = why.in_scope and entry.enabled
            check_reason(entry.selectors, reason, event, options, looked_at=looked_at, through=reason.fired)


def bears(policy: Any, event: dict[str, Any]) -> bool:
    """Tell whether the event is attributed to the policy, or to none."""
    if event.get("policy_uid") is not None:
        return policy.uid == event["policy_uid"]
    return event.get("policy_name") in (None, policy.name)


def check_reason(
    selectors: Any, why: Any, event: dict[str, Any], options: reference.Options, *, looked_at: bool, through: bool
) -> None:
    """Hold the selectors of a policy or an entry, and what decided, against the oracle."""
    assert why.reason
    if not looked_at:
        assert not through
        assert why.selectors == ()
        assert why.deciding is None
        return
    for selector, verdict in zip(selectors, why.selectors, strict=True):
        assert (verdict.selector, verdict.location) == (selector.key, selector.location)
        if event.get(selector.scope) is None:
            assert verdict.status in ("absent", "excused")
            assert verdict.clauses == ()
            continue
        assert verdict.status == ("holds" if reference.matches(selector, event, options) else "fails")
        for clause, reason in zip(selector.clauses, verdict.clauses, strict=True):
            value = reference.value_of(selector.scope, clause.key, event[selector.scope])
            assert reason.value == value
            assert reason.holds == reference.holds(clause, value, options)
            assert (reason.key, reason.operator, reason.values) == (clause.key, clause.operator, clause.values)
            assert reason.location == clause.location
    assert through == all(verdict.status in ("holds", "excused") for verdict in why.selectors)
    against = next((verdict for verdict in why.selectors if not verdict.holds), None)
    if against is None or against.status == "absent":
        assert why.deciding is None
    else:
        assert why.deciding == next(clause for clause in against.clauses if not clause.holds)


def check_json(said: Any) -> None:
    text = json.dumps(said.to_dict(), allow_nan=False)
    document = json.loads(text)
    assert document["plan"] == json.loads(said.plan.to_json())
    assert [policy["in_scope"] for policy in document["policies"]] == [policy.in_scope for policy in said.policies]


def test_what_decided_is_the_first_that_failed_in_the_authors_order() -> None:
    policies = spyderresp.loads(
        """
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: p, type: cluster}
spec:
  mode: audit
  clusterSelector:
    matchFields: {uid: u, name: n}
  machineSelector: {hostname: h}
"""
    )
    engine = spyderresp.Engine(policies)

    def decided(event: dict[str, Any]) -> tuple[bool, str | None, list[str]]:
        (policy,) = engine.explain(event).policies
        key = policy.deciding.key if policy.deciding else None
        return policy.in_scope, key, [selector.status for selector in policy.selectors]

    machine = {"machine": {"hostname": "h"}}
    assert decided({"cluster": {"uid": "u", "name": "n"}, **machine}) == (True, None, ["holds", "holds"])
    assert decided({"cluster": {"uid": "u"}, **machine}) == (False, "name", ["fails", "holds"])
    assert decided({"cluster": {}, **machine}) == (False, "uid", ["fails", "holds"])
    assert decided({"cluster": {"uid": "u", "name": "n"}, "machine": {}}) == (False, "hostname", ["holds", "fails"])
    assert decided(machine) == (False, None, ["absent", "holds"])
    assert decided({**machine, "policy_name": "p"}) == (True, None, ["excused", "holds"])
    assert decided({**machine, "policy_name": "q"}) == (False, None, [])
