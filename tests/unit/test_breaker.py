"""The breaker, walked through all of its states with a virtual clock, and held against its history."""

from __future__ import annotations

import itertools
from collections import deque

import pytest

from spyderresp.execution.guards.circuit_breakers import Breaker, attempt

WINDOW = 3
TARGETS = "abc"
GAPS = range(WINDOW + 2)


class History:
    """The rule, told from everything that ever happened: no state to forget something in."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.attempts: list[tuple[int, str, str]] = []

    def verdict(self, target: str, now: int) -> str:
        since = 0
        shut = False
        for i, (moment, _, said) in enumerate(self.attempts):
            shut = shut or said == "opened"
            following = self.attempts[i + 1][0] if i + 1 < len(self.attempts) else now
            if shut and following - moment >= WINDOW:
                shut, since = False, i + 1
        if shut:
            return "refused"
        touched = {
            name for moment, name, said in self.attempts[since:] if said == "allowed" and now - moment < WINDOW
        } - {target}
        return "allowed" if len(touched) < self.limit else "opened"


@pytest.mark.parametrize("limit", range(3))
def test_every_sequence_of_five_attempts_agrees_with_the_rule_told_from_history(limit: int) -> None:
    for moves in itertools.product(itertools.product(GAPS, TARGETS), repeat=4):
        state, history, now = Breaker(), History(limit), 0
        # What comes before the first attempt says nothing, so it has no gap.
        for gap, target in ((0, "a"), *moves):
            now += gap
            expected = history.verdict(target, now)
            state, verdict = attempt(state, target, now, limit=limit, window=WINDOW)
            assert verdict == expected, (moves, now, target)
            history.attempts.append((now, target, verdict))


def aged(state: Breaker, now: int) -> tuple[object, ...]:
    """Return a state as ages: two with equal ages behave alike."""
    old = WINDOW + 1
    return (
        tuple((name, min(old, now - moment)) for name, moment in state.targets),
        None if state.opened is None else min(old, now - state.opened),
        min(old, now - state.last),
    )


@pytest.mark.parametrize("limit", range(4))
def test_every_reachable_state_keeps_the_promises(limit: int) -> None:
    seen: set[tuple[object, ...]] = set()
    queue = deque([(Breaker(), 0)])
    refused_in = 0
    while queue:
        before, now = queue.popleft()
        for gap, target in itertools.product(GAPS, ("a", "b", "c", "d")):
            then = now + gap
            after, verdict = attempt(before, target, then, limit=limit, window=WINDOW)
            fresh = [name for name, moment in after.targets if then - moment < WINDOW]
            assert len(fresh) == len(set(fresh)) <= limit
            assert after.last == then
            assert (after.opened is None) == (verdict == "allowed")
            if before.opened is not None and then - before.last < WINDOW:
                assert verdict == "refused"
                assert after.opened == before.opened
                refused_in += 1
            else:
                assert verdict != "refused"
            if verdict == "allowed":
                assert after.targets[-1] == (target, then)
            ages = aged(after, then)
            if ages not in seen:
                seen.add(ages)
                queue.append((after, then))
    assert refused_in
    assert len(seen) > limit


def test_a_target_without_a_name_is_a_new_one_each_time() -> None:
    state = Breaker()
    for now in range(2):
        state, verdict = attempt(state, "", now, limit=2, window=10)
        assert verdict == "allowed"
    assert attempt(state, "", 2, limit=2, window=10)[1] == "opened"
