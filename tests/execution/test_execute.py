"""The way of a step through guards and executors, without a journal and without effects."""

from __future__ import annotations

import asyncio
import json
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from turned import Turned

import spyderresp
from spyderresp.execution.report import Result
from spyderresp.execution.steps import Step
from spyderresp.executors import DryRun, Recording
from spyderresp.guards import Guard

POLICY = """
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: kill, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: c}}
  response:
    default:
      - makeRedFlag: {severity: high, content: seen}
    actions:
      - agentReniceProcess: {priority: 10, processSelector: {matchFields: {name: evil}}}
      - agentKillProcess: {processSelector: {matchFields: {name: evil}}}
      - agentKillPod: {processSelector: {matchFields: {name: evil}}}
"""


@pytest.fixture
def turned() -> Turned:
    return Turned()


def guard_of(turned: Turned, **settings: Any) -> Guard:
    settings.setdefault("kill_switch", None)
    return Guard(clock=turned.clock(), **settings)


ENGINE = spyderresp.Engine(spyderresp.loads(POLICY))


def event(name: str = "evil", pid: int = 7, **more: Any) -> dict[str, Any]:
    return {
        "id": f"e{pid}",
        "cluster": {"name": "c"},
        "pod": {"name": "p", "kuid": "k"},
        "process": {"name": name, "pid": pid},
        **more,
    }


def statuses(report: spyderresp.ExecutionReport) -> list[str]:
    return [outcome.status for outcome in report]


def test_every_step_has_an_outcome_in_the_order_of_the_plan(turned: Turned) -> None:
    recording = Recording()
    plan = ENGINE.evaluate(event())
    report = spyderresp.execute(plan, [recording], guard_of(turned))
    assert [outcome.action for outcome in report] == [action.name for action in plan]
    assert statuses(report) == ["done"] * 4
    assert [step.action for step in recording.acted] == [action.name for action in plan]
    assert report.ok
    # All targets are resolved before anything is done.
    assert len(recording.resolved) == 4


def test_audit_superseded_and_not_applicable_are_outcomes_too(turned: Turned) -> None:
    engine = spyderresp.Engine(spyderresp.loads(POLICY), mode="audit")
    recording = Recording()
    report = spyderresp.execute(engine.evaluate(event(pod=None)), recording, guard_of(turned))
    assert statuses(report) == ["audit", "audit", "audit", "not_applicable"]
    assert recording.acted == []


def test_without_an_executor_a_step_is_unsupported(turned: Turned) -> None:
    flags = Recording(actions=frozenset({"makeRedFlag"}))
    report = spyderresp.execute(ENGINE.evaluate(event()), [flags], guard_of(turned))
    assert statuses(report) == ["done", "unsupported", "unsupported", "unsupported"]
    assert "agentKillPod" in report[3].reason
    assert not report.ok


def test_a_dry_run_says_what_would_be_done_and_what_a_guard_would_answer(turned: Turned) -> None:
    report = spyderresp.execute(ENGINE.evaluate(event(time=1.0)), [DryRun()], guard_of(turned))
    assert statuses(report) == ["dry_run"] * 4
    assert report[0].reason == "would raise a high red flag"
    assert report[2].reason.startswith("would kill process 7 `evil`; the guard would answer expired")


class Faulty:
    name = "faulty"
    actions = frozenset({"agentKillProcess"})

    def resolve(self, step: Step, protection: object) -> Result:
        raise OSError(5, "broken")

    def close(self) -> None: ...


def test_an_executor_that_raises_fails_its_step_and_stops_no_other(turned: Turned) -> None:
    pods = Recording(actions=frozenset({"agentKillPod"}))
    report = spyderresp.execute(ENGINE.evaluate(event()), [Faulty(), pods], guard_of(turned))
    assert statuses(report) == ["unsupported", "unsupported", "failed", "done"]
    assert report[2].reason == "OSError: [Errno 5] broken"


class Elsewhere(Recording):
    def resolve(self, step: Step, protection: object) -> Any:
        return Result("refused", "not ours", "host")


def test_only_a_host_binding_hands_a_step_on(turned: Turned) -> None:
    second = Recording(name="second")
    report = spyderresp.execute(ENGINE.evaluate(event()), [Elsewhere(), second], guard_of(turned))
    assert [outcome.executor for outcome in report][1:] == ["second"] * 3
    report = spyderresp.execute(ENGINE.evaluate(event()), [Elsewhere()], guard_of(turned))
    assert statuses(report) == ["refused"] * 4


def test_agent_actions_expire_and_flags_do_not(turned: Turned) -> None:
    plan = ENGINE.evaluate(event(time=turned.wall - 61))
    assert statuses(spyderresp.execute(plan, Recording(), guard_of(turned))) == ["done", *["expired"] * 3]
    plan = ENGINE.evaluate(event(time=turned.wall - 60))
    assert statuses(spyderresp.execute(plan, Recording(), guard_of(turned))) == ["done"] * 4
    ahead = spyderresp.execute(ENGINE.evaluate(event(time=turned.wall + 61)), Recording(), guard_of(turned))
    assert statuses(ahead) == ["done", *["expired"] * 3]
    arrived = spyderresp.execute(ENGINE.evaluate(event()), Recording(), guard_of(turned), arrived=turned.wall - 61)
    assert statuses(arrived) == ["done", *["expired"] * 3]


def test_a_time_far_ahead_is_expired_however_long_events_may_wait(turned: Turned) -> None:
    for ahead, status in ((60, "done"), (61, "expired")):
        plan = ENGINE.evaluate(event(time=turned.wall + ahead))
        report = spyderresp.execute(plan, Recording(), guard_of(turned, expiry=3600))
        assert statuses(report)[1:] == [status] * 3


#: Values that are no time, with those of JSON that one form of Python's has.
NO_TIMES = ("yesterday", "", [], ["2026-11-24T01:02:03Z"], {}, {"seconds": 1}, True, False, 1e13, -1e300, 10**30)


@pytest.mark.parametrize(
    "time", [*NO_TIMES, (1,), b"2026", float("nan"), float("inf"), object()], ids=lambda value: str(value)[:7]
)
def test_a_time_that_cannot_be_read_is_expired(turned: Turned, time: Any) -> None:
    plan = ENGINE.evaluate(event(time=time))
    assert statuses(spyderresp.execute(plan, Recording(), guard_of(turned))) == ["done", *["expired"] * 3]


@pytest.mark.parametrize("time", NO_TIMES, ids=str)
def test_a_time_that_cannot_be_read_is_expired_in_json_too(turned: Turned, time: Any) -> None:
    for plan in (ENGINE.evaluate_json(json.dumps(event(time=time))), *ENGINE.evaluate_many([event(time=time)])):
        assert statuses(spyderresp.execute(plan, Recording(), guard_of(turned))) == ["done", *["expired"] * 3]
        json.dumps(plan.to_dict())


@pytest.mark.parametrize(
    ("times", "status"),
    [
        (pa.array([[1]]), "expired"),
        (pa.array([date(2027, 1, 15)]), "expired"),
        (pa.array([Decimal("1.5")]), "expired"),
        (pa.array([True]), "expired"),
        (pa.array([None]), "done"),
        (pa.array([datetime(2027, 1, 15, 8, tzinfo=timezone.utc)], pa.timestamp("ns", "UTC")), "done"),
        (pa.array([datetime(2027, 1, 15, 8)], pa.timestamp("s")).dictionary_encode(), "done"),
        (pa.array([datetime(2027, 1, 15, 7, tzinfo=timezone.utc)]), "expired"),
    ],
    ids=str,
)
def test_times_of_arrow_columns_are_read_or_expired(times: pa.Array, status: str) -> None:
    turned = Turned()
    turned.wall = 1_800_000_000.0  # 2027-01-15T08:00:00Z
    events = {key: pa.array([value]) for key, value in event().items()}
    (plan,) = ENGINE.evaluate_batch(pa.table({**events, "time": times}))
    assert statuses(spyderresp.execute(plan, Recording(), guard_of(turned))) == ["done", *[status] * 3]


def test_the_kill_switch_works_between_resolving_and_acting(turned: Turned, tmp_path: Any) -> None:
    switch = tmp_path / "halt"

    class Slow(Recording):
        def resolve(self, step: Step, protection: object) -> Any:
            held = super().resolve(step, protection)  # type: ignore[arg-type]
            if step.action == "agentKillPod":
                switch.touch()
            return held

    slow = Slow()
    report = spyderresp.execute(ENGINE.evaluate(event()), slow, guard_of(turned, kill_switch=switch))
    assert statuses(report) == ["done", "refused", "refused", "refused"]
    assert {outcome.rule for outcome in report[1:]} == {"kill-switch"}
    assert [step.action for step in slow.acted] == ["makeRedFlag"]


def test_a_breaker_opens_and_says_so_once(turned: Turned) -> None:
    guard = guard_of(turned)
    recording = Recording()
    alarms = []
    for pid in range(100):
        report = spyderresp.execute(ENGINE.evaluate(event(pid=pid, pod=None)), recording, guard)
        alarms += report.alarms
        turned.pass_(0.1)
    kills = [step for step in recording.acted if step.action == "agentKillProcess"]
    assert len(kills) == 3
    assert [alarm.step.because for alarm in alarms] == ["breaker:agentKillProcess of kill"]
    assert {alarm.status for alarm in alarms} == {"done"}


def test_two_executors_of_one_name_are_refused(turned: Turned) -> None:
    with pytest.raises(ValueError, match="two executors are called `recording`"):
        spyderresp.execute(ENGINE.evaluate(event()), [Recording(), Recording()])


def test_the_default_guard_remembers_between_calls() -> None:
    recording = Recording()
    for pid in range(50):
        spyderresp.execute(ENGINE.evaluate(event(pid=pid)), [recording])
    assert sum(step.action == "agentKillProcess" for step in recording.acted) <= 10


def test_aexecute_reports_the_same(turned: Turned) -> None:
    plan = ENGINE.evaluate(event())
    report = asyncio.run(spyderresp.aexecute(plan, [Recording()], guard_of(turned)))
    assert statuses(report) == ["done"] * 4


def test_a_round_of_plans_reports_each(turned: Turned) -> None:
    events = [event(pid=pid) for pid in range(2)]
    plans = ENGINE.evaluate_many(events)
    reports = spyderresp.execute_many(plans, [Recording()], guard_of(turned), events=events)
    assert [report.event for report in reports] == ["e0", "e1"]
    assert reports[0].to_dict()["outcomes"][0]["outcome"] == "done"


def test_a_step_is_the_same_after_json() -> None:
    from spyderresp.execution.steps import steps_of

    for step in steps_of(ENGINE.evaluate(event()), arrived=1.0, record={"a": 1}):
        assert Step.from_dict(step.to_dict()) == step
