"""Policies as values: equal, hashed, shown, pickled, never changed, and out of the garbage collector's way."""

from __future__ import annotations

import copy
import gc
import hashlib
import json
import pickle
from typing import Any

import pytest
import strategies as s
from hypothesis import given

import spyderresp
from spyderresp import Location
from spyderresp.policies.policy_set import Clause, Entry, Policy, Selector

PLACE = Location("policy.yaml", 3, 7)


def clause(**other: Any) -> Clause:
    fields = {"key": "exe", "operator": "In", "values": ("a", "b*"), "primitive": "matchFields", "location": PLACE}
    return Clause(**(fields | other))


def selector(**other: Any) -> Selector:
    return Selector(**({"scope": "process", "clauses": (clause(),), "location": PLACE} | other))


def entry(**other: Any) -> Entry:
    fields = {
        "action": "agentReniceProcess",
        "parameters": (("priority", 5),),
        "selectors": (selector(),),
        "enabled": True,
        "section": "actions",
        "index": 2,
        "location": PLACE,
    }
    return Entry(**(fields | other))


def policy(**other: Any) -> Policy:
    fields = {
        "name": "p",
        "uid": None,
        "type": "cluster",
        "enabled": True,
        "mode": "audit",
        "selectors": (selector(),),
        "entries": (entry(section="default"), entry()),
        "metadata": {"name": "p", "type": "cluster"},
        "location": PLACE,
    }
    return Policy(**(fields | other))


OTHERS: dict[Any, dict[str, Any]] = {
    clause: {"key": "name", "operator": "NotIn", "values": (), "primitive": "x", "location": Location("p", 3, 7)},
    selector: {"scope": "pod", "clauses": (), "location": Location("policy.yaml", 3, 8)},
    entry: {
        "action": "agentKillPod",
        "parameters": (("priority", "5"),),
        "selectors": (),
        "enabled": False,
        "section": "default",
        "index": 3,
        "location": Location("policy.yaml", 4, 7),
    },
    policy: {
        "name": "q",
        "uid": "u",
        "type": "container",
        "enabled": False,
        "mode": "enforce",
        "selectors": (),
        "entries": (),
        "metadata": {},
        "location": Location("policy.yaml", 4, 7),
    },
}
makers = pytest.mark.parametrize("make", [clause, selector, entry, policy], ids=lambda make: make.__name__)


@makers
def test_equality(make: Any) -> None:
    assert make() == make()
    assert make() != "x"
    for field, value in OTHERS[make].items():
        other = make(**{field: value})
        assert other != make(), field
        assert getattr(other, field) == value
    assert set(OTHERS[make]) == set(type(make()).__match_args__)


@makers
def test_copies(make: Any) -> None:
    value = make()
    for twin in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert twin == value
        assert twin.location == PLACE
        assert type(twin.location) is Location


@makers
def test_values_do_not_change(make: Any) -> None:
    value = make()
    for field in type(value).__match_args__:
        with pytest.raises(AttributeError):
            setattr(value, field, getattr(value, field))
        with pytest.raises(AttributeError):
            delattr(value, field)
    with pytest.raises(AttributeError):
        value.other = 1


def test_hashes() -> None:
    for make in (clause, selector, entry):
        assert hash(make()) == hash(make())
        assert hash(make(location=Location("q", 1, 1))) != hash(make())
    # Its metadata is a dict.
    with pytest.raises(TypeError):
        hash(policy())


def test_texts_for_people() -> None:
    place = "Location(path='policy.yaml', line=3, column=7)"
    said = f"Clause(key='exe', operator='In', values=('a', 'b*'), primitive='matchFields', location={place})"
    assert repr(clause()) == said
    said = f"Selector(scope='process', clauses=({said},), location={place})"
    assert repr(selector()) == said
    said = (
        f"Entry(action='agentReniceProcess', parameters=(('priority', 5),), selectors=({said},), enabled=True, "
        f"section='actions', index=2, location={place})"
    )
    assert repr(entry()) == said
    assert repr(policy(selectors=(), entries=(entry(),))) == (
        "Policy(name='p', uid=None, type='cluster', enabled=True, mode='audit', selectors=(), "
        f"entries=({said},), location={place})"
    )


def test_parts() -> None:
    assert policy().default == (entry(section="default"),)
    assert policy().actions == (entry(),)
    assert selector().key == "processSelector"


@pytest.mark.parametrize(
    "make",
    [
        lambda: clause(values=["a"]),
        lambda: clause(values=(["a"],)),
        lambda: clause(key=7),
        lambda: selector(clauses=([],)),
        lambda: entry(selectors=(clause(),)),
        lambda: entry(parameters=(("a", []),)),
        lambda: policy(entries=(selector(),)),
    ],
)
def test_what_could_hold_itself_is_refused(make: Any) -> None:
    with pytest.raises(TypeError):
        make()


def test_the_collector_looks_at_policies_only() -> None:
    text = json.dumps(
        [
            {
                "apiVersion": "spyderbat/v1",
                "kind": "SpyderbatPolicy",
                "metadata": {"name": f"p{i}", "type": "cluster"},
                "spec": {
                    "mode": "audit",
                    "clusterSelector": {"name": [f"a{i}", "b"]},
                    "response": {
                        "default": [{"makeRedFlag": {"severity": "low"}}],
                        "actions": [{"agentKillProcess": {"processSelector": {"exe": f"/bin/{i}"}}}],
                    },
                },
            }
            for i in range(500)
        ]
    )
    gc.collect()
    before = len(gc.get_objects())
    policies = spyderresp.loads(text)
    gc.collect()
    assert len(gc.get_objects()) - before < 2 * len(policies)


def meaning(policy: Policy) -> list[Any]:
    """Return what the digest covers, as JSON values."""
    entries = [
        [e.section, e.action, e.enabled, e.parameters, sorted(map(matched, e.selectors))] for e in policy.entries
    ]
    selectors = sorted(map(matched, policy.selectors))
    return [policy.name, policy.uid, policy.type, policy.enabled, policy.mode, selectors, entries]


def matched(selector: Selector) -> list[Any]:
    return [selector.scope, sorted({(c.key, c.operator, tuple(sorted(set(c.values)))) for c in selector.clauses})]


@given(s.policy_sets())
def test_the_digest_is_that_of_the_meaning(documents: list[dict[str, Any]]) -> None:
    policies = spyderresp.from_documents(documents)
    text = json.dumps([1, [meaning(policy) for policy in policies]], separators=(",", ":"))
    assert policies.digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_metadata_deeper_than_it_is_written() -> None:
    """Aliases make it so; nothing on the way recurses."""
    lines = ["apiVersion: spyderbat/v1", "kind: SpyderbatPolicy", "metadata:", "  name: a", "  type: cluster"]
    inner = "x"
    for i in range(20):
        lines.append(f"  k{i}: &a{i} {'[' * 150}{inner}{']' * 150}")
        inner = f"*a{i} "
    lines += ["spec: {mode: audit, clusterSelector: {name: a}}"]
    value = spyderresp.loads("\n".join(lines))[0].metadata["k19"]
    depth = 0
    while isinstance(value, list):
        (value,) = value
        depth += 1
    assert (value, depth) == ("x", 20 * 150)
