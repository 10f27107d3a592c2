"""A pid that is an innocent's by now: a few of the trials of ``python -m tests.trials reuse``."""

from __future__ import annotations

import json

import pytest
from trials import namespace

pytestmark = pytest.mark.skipif(bool(namespace.why_not()), reason=namespace.why_not())


def trials(count: int, *arguments: str) -> dict[str, int]:
    done = namespace.run("trials.reuse", ["--trials", str(count), *arguments])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("what", "count"),
    [
        ("process", 60),
        ("group", 60),
        ("tree", 60),
        ("renice", 60),
        pytest.param("process", 300, marks=pytest.mark.slow),
    ],
)
def test_no_innocent_is_touched(what: str, count: int) -> None:
    said = trials(count, "--what", what)
    assert said["handed_over"] == count
    assert said["wrong_kills"] == 0
    assert set(said["outcomes"]) <= {"mismatch", "already"}


def test_the_same_trials_kill_innocents_by_number() -> None:
    """Else the trials above would prove nothing."""
    said = trials(20, "--plain")
    assert said["wrong_kills"] == said["handed_over"] == 20
