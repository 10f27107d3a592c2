"""Trees and groups that fight back: every case of ``python -m tests.trials trees``, once."""

from __future__ import annotations

import json

import pytest
from trials import namespace
from trials.trees import CASES

pytestmark = pytest.mark.skipif(bool(namespace.why_not()), reason=namespace.why_not())


SLOW = {"a_fork_bomb"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in SLOW else []) for case in CASES]
)
def test_nothing_outside_dies_and_nobody_is_told_done_over_a_survivor(case: str) -> None:
    done = namespace.run("trials.trees", [case])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}
