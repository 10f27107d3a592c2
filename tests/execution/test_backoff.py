"""Waiting before trying again: by a clock that the test turns."""

from __future__ import annotations

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spyderresp.execution.backoff import Backoff, call_with_retries, retry_after


class Turned:
    """A clock that sleeping turns."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def steady(self) -> float:
        return self.now


class Failing:
    def __init__(self, failures: int, error: Exception) -> None:
        self.left = failures
        self.error = error
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


def test_the_bound_doubles_up_to_the_longest() -> None:
    backoff = Backoff(first=0.5, longest=3.0)
    assert [backoff.wait(n, draw=lambda: 1.0) for n in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert backoff.wait(4, draw=lambda: 0.0) == 0.0


@given(
    st.integers(1, 10**6),
    st.none() | st.floats(allow_nan=False),
    st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_never_shorter_than_asked_for_nor_endless(failures: int, asked: float | None, drawn: float) -> None:
    backoff = Backoff()
    wait = backoff.wait(failures, asked, lambda: drawn)
    assert min(max(asked or 0.0, 0.0), backoff.obeyed) <= wait <= backoff.obeyed + backoff.longest


def test_tries_until_it_works() -> None:
    clock, attempt = Turned(), Failing(3, OSError("no"))
    assert (
        call_with_retries(
            attempt,
            Backoff(first=1.0),
            lambda error: 0.0,
            sleep=clock.sleep,
            draw=lambda: 0.5,
            steady=clock.steady,
        )
        == "done"
    )
    assert clock.slept == [0.5, 1.0, 2.0]


def test_gives_up_after_so_many_attempts_with_the_last_error() -> None:
    clock, attempt = Turned(), Failing(99, OSError("still no"))
    with pytest.raises(OSError, match="still no"):
        call_with_retries(attempt, Backoff(attempts=4), lambda error: 0.0, sleep=clock.sleep, steady=clock.steady)
    assert attempt.calls == 4
    assert len(clock.slept) == 3


def test_gives_up_where_the_next_attempt_would_be_too_late() -> None:
    clock, attempt = Turned(), Failing(99, OSError("no"))
    with pytest.raises(OSError, match="no"):
        call_with_retries(
            attempt, Backoff(attempts=None, within=10.0), lambda error: 4.0, sleep=clock.sleep, draw=lambda: 0.0,
            steady=clock.steady,
        )  # fmt: skip
    assert clock.slept == [4.0, 4.0], "a third would begin after 12 s"


def test_does_not_try_again_where_it_cannot_help() -> None:
    clock, attempt = Turned(), Failing(99, ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        call_with_retries(attempt, Backoff(), lambda error: None, sleep=clock.sleep, steady=clock.steady)
    assert (attempt.calls, clock.slept) == (1, [])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("9" * 5000, 1e15),
        (email.utils.formatdate(1_000_030, usegmt=True), 30.0),
        (email.utils.formatdate(999_000, usegmt=True), 0.0),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, 1_000_000.0) == seconds


@given(st.text())
def test_retry_after_takes_any_text(text: str) -> None:
    said = retry_after(text, 0.0)
    assert said is None or said >= 0.0
