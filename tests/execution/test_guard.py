"""Guards as a host meets them: limits under a flood, memory over a restart, silences, cooldown, what cannot be told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from turned import Turned

import spyderresp
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result
from spyderresp.execution.steps import Step, target_from_dict
from spyderresp.executors import Recording
from spyderresp.guards import Guard, Limits, Silence


class Kept:
    """A journal that keeps a state, and nothing else."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def guard_state(self) -> Any:
        return self.state


class Target:
    facts: Mapping[str, Any] = {}

    def __init__(self, identity: str, namespace: str | None = None) -> None:
        self.identity = identity
        self.namespace = namespace

    def act(self) -> Result:
        return Result("done")

    def release(self) -> None: ...


def step_of(action: str = "agentKillProcess", policy: str = "p", **more: Any) -> Step:
    settings: dict[str, Any] = {
        "key": "k",
        "place": 0,
        "action": action,
        "items": (),
        "disposition": "execute",
        "sources": (spyderresp.Source(policy, None, "actions", 0, spyderresp.Location("p.yaml", 1, 1)),),
        "target": None,
        "event": "e",
        "event_time": None,
        "arrived": 1_000_000.0,
        "policy_set": "",
        "plan": "",
        **more,
    }
    return Step(**settings)


def guard_of(turned: Turned, **settings: Any) -> Guard:
    return Guard(clock=turned.clock(), kill_switch=settings.pop("kill_switch", None), **settings)


def admitted(guard: Guard, turned: Turned, count: int, every: float = 0.0, **where: Any) -> int:
    allowed = 0
    for i in range(count):
        refusal, _ = guard.admit(step_of(), Target(f"{where.get('prefix', '')}{i}", where.get("namespace")))
        allowed += refusal is None
        turned.pass_(every)
    return allowed


def test_after_the_warm_up_the_limits_are_those_of_the_settings() -> None:
    turned = Turned()
    guard = guard_of(turned)
    turned.pass_(60)
    assert admitted(guard, turned, 5_000) == 10


def test_namespaces_and_policies_have_limits_of_their_own_below_the_overall_one() -> None:
    turned = Turned()
    guard = guard_of(turned, limits=Limits(policy=1_000))
    turned.pass_(60)
    allowed = [admitted(guard, turned, 50, namespace=f"n{i}", prefix=f"n{i}-") for i in range(5)]
    assert allowed == [10, 10, 10, 0, 0]
    assert set(guard.open_breakers()) == {*(f"namespace n{i}" for i in range(5)), "overall"}


def test_a_flood_cannot_raise_the_limit_nor_wait_it_out() -> None:
    turned = Turned()
    guard = guard_of(turned)
    turned.pass_(60)
    # An hour of it: once it is open, no attempt gets through.
    assert admitted(guard, turned, 36_000, every=0.1) == 10
    turned.pass_(60)
    assert admitted(guard, turned, 1) == 1


def test_a_slow_stream_below_the_limit_never_opens_it() -> None:
    turned = Turned()
    guard = guard_of(turned)
    turned.pass_(60)
    assert admitted(guard, turned, 1_000, every=6.0) == 1_000


@pytest.mark.parametrize(("pause", "expected"), [(0, 1), (59, 1), (60, 10), (600, 10), (601, 3)])
def test_the_state_survives_a_restart_and_only_a_late_one_warms_up(pause: float, expected: int) -> None:
    turned = Turned()
    guard = guard_of(turned)
    turned.pass_(60)
    assert admitted(guard, turned, 9) == 9
    kept = Kept(json.loads(json.dumps(guard.state())))
    turned.pass_(pause)
    restarted = guard_of(turned)
    restarted.remember(kept)
    assert admitted(restarted, turned, 15, prefix="new") == expected
    restarted.remember(kept)
    assert set(restarted.open_breakers()) == {"agentKillProcess of p"}


@pytest.mark.parametrize(("jump", "expected"), [(-1e6, 0), (0.0, 0), (59.0, 0), (61.0, 5), (601.0, 3)])
def test_of_another_boot_the_wall_clock_tells_and_one_that_went_back_is_no_time(jump: float, expected: int) -> None:
    turned = Turned()
    guard = guard_of(turned)
    turned.pass_(60)
    admitted(guard, turned, 10)
    kept = Kept(json.loads(json.dumps(guard.state())))
    turned.boot, turned.steady = "another", 5.0
    turned.wall += jump
    restarted = guard_of(turned)
    restarted.remember(kept)
    assert admitted(restarted, turned, 5, prefix="new") == expected


@pytest.mark.parametrize(
    "state", [{}, {"version": 99}, [], "x", {"version": 2, "breakers": 3}, {"version": 2, "boot": ""}]
)
def test_a_state_that_cannot_be_understood_refuses_kills(state: Any) -> None:
    turned = Turned()
    guard = guard_of(turned)
    guard.remember(Kept(state))
    assert admitted(guard, turned, 3) == 0
    guard.rearm()
    assert admitted(guard, turned, 3) == 3


def test_what_a_namespace_refuses_overall_does_not_count() -> None:
    turned = Turned()
    guard = guard_of(turned, limits=Limits(namespace=1, warm_up_seconds=0))
    assert admitted(guard, turned, 5, namespace="a", prefix="a") == 1
    assert guard.state()["breakers"]["overall"]["targets"] == [["a0", turned.steady]]


def test_renices_and_flags_meet_no_breaker() -> None:
    turned = Turned()
    guard = guard_of(turned)
    for i in range(100):
        assert guard.admit(step_of("agentReniceProcess"), Target(str(i)))[0] is None
        assert guard.admit(step_of("makeRedFlag"), None)[0] is None


def test_cooldown_is_by_policy_and_target() -> None:
    turned = Turned()
    guard = guard_of(turned, cooldown=3600)
    one, two = (target_from_dict({"process": {"pid": pid}}) for pid in (1, 2))

    def raised(policy: str, target: Any) -> bool:
        refusal, _ = guard.admit(step_of("makeRedFlag", policy, target=target), None)
        assert refusal is None or refusal.rule == "cooldown"
        return refusal is None

    assert [raised("p", one), raised("p", one), raised("q", one), raised("p", two)] == [True, False, True, True]
    turned.pass_(3600)
    assert raised("p", one)


def test_silences_match_by_globs_and_end() -> None:
    turned = Turned()
    silence = Silence({"namespace.name": ("dev-*", "test"), "policy": "p*"}, until=turned.wall + 10, reason="deploying")
    guard = guard_of(turned, silences=[silence])
    dev = target_from_dict({"namespace": {"name": "dev-1"}})
    quiet = guard.before(step_of("makeRedFlag", target=dev))
    assert quiet is not None
    assert (quiet.status, quiet.rule, quiet.reason) == ("refused", "silence", "silenced: deploying")
    assert guard.before(step_of("makeRedFlag", target=target_from_dict({"namespace": {"name": "prod"}}))) is None
    assert guard.before(step_of("makeRedFlag", "q", target=dev)) is None
    # Kills are not flags.
    assert guard.before(step_of(target=dev)) is None
    turned.pass_(10)
    assert guard.before(step_of("makeRedFlag", target=dev)) is None


def test_a_silence_must_say_what_it_silences() -> None:
    with pytest.raises(ValueError, match="must match something"):
        Silence({}, until=1.0)
    with pytest.raises(ValueError, match=r"cannot match `process\.colour`"):
        Silence({"process.colour": "red"}, until=1.0)


def test_a_kill_switch_that_cannot_be_looked_at_is_on(tmp_path: Any) -> None:
    turned = Turned()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    refusal = guard_of(turned, kill_switch=loop / "halt").before(step_of())
    assert refusal is not None
    assert refusal.rule == "kill-switch"
    assert guard_of(turned, kill_switch=tmp_path / "no" / "such").before(step_of()) is None


def test_audit_mode_works_at_once_and_for_all() -> None:
    turned = Turned()
    guard = guard_of(turned)
    guard.mode = "audit"
    for action in ("makeRedFlag", "agentKillPod"):
        said = guard.before(step_of(action))
        assert said is not None
        assert said.status == "audit"
    guard.mode = None
    assert guard.before(step_of()) is None


@pytest.mark.parametrize(
    "settings",
    [{"expiry": -1}, {"cooldown": float("inf")}, {"mode": "on"}, {"limits": "many"}, {"expiry": float("nan")}],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Guard(**settings)
    with pytest.raises(ValueError, match="overall"):
        Limits(overall=-1)


def test_protection_adds_and_never_takes_away() -> None:
    more = Protection().including(namespaces=frozenset({"payments"}))
    assert more.namespaces > Protection().namespaces
    assert more.executables == Protection().executables


def test_recording_counts_one_target_once() -> None:
    held = Recording().resolve(step_of(target=target_from_dict({"process": {"pid": 3}})), Protection())
    assert held.identity == "process:[('pid', 3)]"
