"""Circuit breakers: the compiled rule equals the rule computed from all attempts, and keeps its promises."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spyderresp.execution.clock import Clock
from spyderresp.execution.guards.circuit_breakers import Breakers, Limits

WINDOW = 3


class Kill(NamedTuple):
    action: str = "agentKillPod"
    policies: Sequence[str] = ("p",)


KILL = Kill()


class History:
    """The rule of one breaker, computed from every attempt that was ever made."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit, self.window = limit, window
        self.attempts: list[tuple[float, object]] = []
        self.alarmed = float("-inf")

    def attempt(self, target: str, now: float, limit: int) -> str:
        self.attempts.append((now, target or object()))
        if len({name for moment, name in self.attempts if now - moment < self.window}) <= limit:
            return "allowed"
        if now - self.alarmed < self.window:
            return "refused"
        self.alarmed = now
        return "alarm"


class Steps:
    """Breakers with a clock that is set by hand."""

    def __init__(self, limits: Limits) -> None:
        self.now = 0.0
        self.breakers = Breakers(limits, Clock(wall=lambda: self.now, steady=lambda: self.now, boot=lambda: "b"))

    def admit(self, target: str, now: float, namespace: str | None = None, kill: Kill = KILL) -> dict[str, bool]:
        """Return the breakers that refuse, and whether each wants an alarm."""
        self.now = now
        return {item.name: item.alarm for item in self.breakers.admit(kill, target, namespace)}


def only_overall(limit: int, window: float = WINDOW) -> Limits:
    return Limits(policy=1_000, namespace=1_000, overall=limit, window=window, warm_up_seconds=0)


@pytest.mark.parametrize("limit", range(3))
def test_every_sequence_of_five_attempts_on_three_targets_agrees_with_the_rule(limit: int) -> None:
    for moves in itertools.product(itertools.product(range(WINDOW + 2), "abc"), repeat=4):
        steps, history, now = Steps(only_overall(limit)), History(limit, WINDOW), 0
        for gap, target in ((0, "a"), *moves):
            now += gap
            wanted = history.attempt(target, now, limit)
            found = steps.admit(target, now)
            assert found == ({} if wanted == "allowed" else {"overall": wanted == "alarm"}), (moves, now, target)


KILLS = st.tuples(
    st.sampled_from((0.0, 0.0, 0.4, 1.0, 2.9, 3.0, 40.0)),
    st.sampled_from(("", "a", "b", "c", "d", "e", "f")),
    st.sampled_from((None, "", "n", "m")),
    st.sampled_from((("p",), ("q",), ("p", "q"), ("p", "p"), ())),
)
LIMITS = st.builds(
    Limits,
    policy=st.integers(0, 4),
    namespace=st.integers(0, 4),
    overall=st.integers(0, 6),
    window=st.sampled_from((0.0, 0.5, 3.0, 60.0)),
    warm_up=st.integers(0, 2),
    warm_up_seconds=st.sampled_from((0.0, 2.0, 30.0)),
)


@given(st.lists(KILLS, max_size=60), LIMITS, st.integers(0, 60))
def test_all_breakers_that_a_kill_meets_agree_with_the_rule(
    kills: list[tuple[float, str, str | None, tuple[str, ...]]], limits: Limits, restart: int
) -> None:
    steps, known, now = Steps(limits), dict[str, History](), 0.0
    for place, (gap, target, namespace, policies) in enumerate(kills):
        now += gap
        if place == restart and now >= limits.warm_up_seconds:
            # A restart changes nothing.
            again = Steps(limits)
            steps.now = again.now = now
            again.breakers.restore(steps.breakers.state())
            steps = again
        names = [[f"agentKillPod of {policy}" for policy in dict.fromkeys(policies or ("",))]]
        names += [[f"namespace {namespace}"]] if namespace else []
        wanted: dict[str, bool] = {}
        for level in (*names, ["overall"]):
            for name in level:
                limit = limits.overall if name == "overall" else limits.policy if " of " in name else limits.namespace
                if name != "overall" and now < limits.warm_up_seconds:
                    limit = min(limit, limits.warm_up)
                verdict = known.setdefault(name, History(limit, limits.window)).attempt(target, now, limit)
                if verdict != "allowed":
                    wanted[name] = verdict == "alarm"
            if wanted:
                break
        assert steps.admit(target, now, namespace, Kill(policies=policies)) == wanted


MOVES = st.lists(st.tuples(st.sampled_from((0.0, 0.1, 1.0, 2.9, 3.0)), st.integers(0, 9)), max_size=80)


@given(MOVES, st.integers(0, 5))
def test_no_window_has_more_distinct_kills_than_the_limit(moves: list[tuple[float, int]], limit: int) -> None:
    steps, now = Steps(only_overall(limit)), 0.0
    killed: list[tuple[float, int]] = []
    for gap, target in moves:
        now += gap
        if not steps.admit(str(target), now):
            killed.append((now, target))
        assert len({name for moment, name in killed if now - moment < WINDOW}) <= limit


@pytest.mark.parametrize("restart_every", [0, 60, 3_600])
def test_a_steady_rate_within_the_limits_is_never_refused(restart_every: int) -> None:
    """24 hours of 5 kills a minute, in one namespace and under one policy."""
    limits = Limits(warm_up_seconds=0)
    steps = Steps(limits)
    for number in range(24 * 60 * 5):
        now = number * 12.0
        if restart_every and now and now % restart_every == 0:
            again = Steps(limits)
            again.now = steps.now = now
            again.breakers.restore(steps.breakers.state())
            steps = again
        assert steps.admit(f"target {number}", now, "shop") == {}


@pytest.mark.parametrize("rate", [11, 100, 1_000])
def test_the_end_of_a_flood_ends_the_refusals_within_a_window(rate: int) -> None:
    steps = Steps(Limits(warm_up_seconds=0))
    allowed = sum(not steps.admit(f"flood {number}", number * 60 / rate, "shop") for number in range(3 * rate))
    assert allowed == 10
    end = (3 * rate - 1) * 60 / rate
    assert "agentKillPod of p" in steps.breakers.open()
    steps.now = end + 60
    assert steps.breakers.open() == {}
    assert steps.admit("another", end + 60, "shop") == {}


def test_a_noisy_policy_refuses_no_other_policys_kills() -> None:
    """Its kills are on hosts: no namespace. What its breaker refuses, `overall` does not count."""
    steps = Steps(Limits())
    for number in range(100):
        steps.admit(f"process {number}", number / 100, None, Kill(policies=("noisy",)))
    assert set(steps.breakers.open()) == {"agentKillPod of noisy"}
    assert steps.admit("process", 1.0, None, Kill(policies=("quiet",))) == {}


def test_an_open_breaker_alarms_once_a_window() -> None:
    steps = Steps(only_overall(1, window=60))
    alarms = [now for now in range(200) if steps.admit(f"{now}", now).get("overall")]
    assert alarms == [1, 61, 121, 181]


def test_warm_up_lowers_the_limits_of_policies_and_namespaces_only() -> None:
    steps = Steps(Limits(warm_up=3, overall=5))
    refused = [steps.admit(f"{number}", 1.0, f"n{number}", Kill(policies=(f"p{number}",))) for number in range(6)]
    assert refused == [{}] * 5 + [{"overall": True}]
    steps = Steps(Limits())
    found = [steps.admit(f"{number}", 59.0 + number) for number in range(12)]
    assert [bool(item) for item in found] == [False] * 10 + [True] * 2


def test_state_that_is_no_time_is_not_taken_over() -> None:
    steps = Steps(Limits())
    steps.admit("a", 0.0)
    state: Any = steps.breakers.state()
    state["breakers"]["overall"]["targets"][0][1] = float("nan")
    with pytest.raises(ValueError, match="no time"):
        steps.breakers.restore(state)
