"""The facade: options, JSON, errors."""

from __future__ import annotations

import pytest

import spyderresp

POLICY = """
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: p, type: cluster, uid: u}
spec:
  enabled: %s
  mode: enforce
  clusterSelector: {name: a}
  response: {default: [{agentKillProcess: }, {makeRedFlag: {severity: low}}]}
"""
EVENT = b'{"id": "e", "cluster": {"name": "a"}, "process": {"pid": 1}}'


@pytest.fixture
def engine() -> spyderresp.Engine:
    return spyderresp.Engine(spyderresp.loads(POLICY % "yes"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b"\xff", "not valid UTF-8: byte 0x.. at column 1"),
        (b"\xed\xa0\x80", "not valid UTF-8: byte 0x.. at column 1"),
        ('{"id": 1}'.encode("utf-16"), "not valid UTF-8: byte 0x.. at column 1"),
        (b'{"id": NaN}', "NaN is no JSON value"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"id": ' + b"9" * 10_000 + b"}", "too many digits"),
        (b"[]", "must be a mapping"),
    ],
)
def test_what_is_no_event(engine: spyderresp.Engine, text: bytes, reason: str) -> None:
    with pytest.raises(spyderresp.EventError, match=reason) as caught:
        engine.evaluate_json(text)
    assert caught.value.path == ""


def test_bytes_like_objects_and_text(engine: spyderresp.Engine) -> None:
    plans = {
        engine.evaluate_json(form).to_json() for form in (EVENT, bytearray(EVENT), memoryview(EVENT), EVENT.decode())
    }
    assert len(plans) == 1
    assert engine.evaluate_json(b"\xef\xbb\xbf" + EVENT).event == "e"


def test_lines(engine: spyderresp.Engine) -> None:
    buffer = b"\n" + EVENT + b"\r\n\n{\n" + EVENT
    with pytest.raises(spyderresp.EventError):
        engine.evaluate_jsonl(buffer)
    first, bad, last = engine.evaluate_jsonl(buffer, on_error="collect")
    assert first == last
    assert isinstance(bad, spyderresp.EventError)
    assert len(engine.evaluate_jsonl('{"id": "a\u2028b"}\n')) == 1


def test_options_are_checked(engine: spyderresp.Engine) -> None:
    for option in ({"defaults": "never"}, {"not_in": "x"}, {"mode": "enforce"}):
        with pytest.raises(ValueError, match=next(iter(option))):
            spyderresp.Engine(engine.policies, **option)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_error"):
        engine.evaluate_many([], on_error="ignore")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="PolicySet"):
        spyderresp.Engine("policies/")  # type: ignore[arg-type]


def test_attribution_says_what_became_of_it(engine: spyderresp.Engine) -> None:
    off = spyderresp.Engine(spyderresp.loads(POLICY % "off"))
    for decides, key, value, outcome, scope in (
        (engine, "policy_uid", "u", "matched", ("p",)),
        (engine, "policy_name", "p", "matched", ("p",)),
        (engine, "policy_uid", "x", "unknown", ()),
        (off, "policy_uid", "u", "disabled", ()),
    ):
        plan = decides.evaluate({key: value})
        assert plan.attribution == (key, value, outcome)
        assert plan.policies == scope
        assert plan.to_dict()["attribution"] == {"key": key, "value": value, "outcome": outcome}
    assert engine.stats()["unattributed"] == 1
    assert engine.evaluate({"policy_uid": "x", "policy_name": "p"}).policies == (), "the uid goes first"


def test_no_policies_decide_nothing() -> None:
    plan = spyderresp.Engine(spyderresp.from_documents([])).evaluate({"id": "e"})
    assert len(plan) == 0
    assert plan.to_dict() == {"version": 1, "event": "e", "policy_set": plan.policy_set, "policies": [], "actions": []}


def test_a_plan_says_who_supersedes_whom(engine: spyderresp.Engine) -> None:
    text = POLICY.replace("{agentKillProcess: }", "{agentKillProcess: }, {agentKillProcessTree: }") % "yes"
    plan = spyderresp.Engine(spyderresp.loads(text)).evaluate_json(EVENT)
    kill = next(action for action in plan if action.name == "agentKillProcess")
    assert kill.disposition == "superseded"
    assert kill.superseded_by is not None
    assert plan[kill.superseded_by].name == "agentKillProcessTree"
    assert kill.reason == "agentKillProcessTree kills the process too"


def test_an_explanation_is_counted_once(engine: spyderresp.Engine) -> None:
    engine.explain({"policy_uid": "x"})
    assert engine.stats()["unattributed"] == engine.stats()["evaluated"] == 1


def test_an_id_that_is_a_list_cannot_change_its_plan(engine: spyderresp.Engine) -> None:
    plan = engine.evaluate({"id": [1]})
    plan.event.append(2)
    plan.to_dict()["event"].append(3)
    assert plan.event == plan.to_dict()["event"] == [1]
    assert plan == engine.evaluate({"id": [1]})
