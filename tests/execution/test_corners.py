"""Every case of ``python -m tests.trials corners``, once."""

from __future__ import annotations

import json

import pytest
from trials import namespace
from trials.corners import CASES

pytestmark = pytest.mark.skipif(bool(namespace.why_not()), reason=namespace.why_not())


# Each waits for several seconds.
SLOW = {"a_paused_cgroup_stays_paused_where_it_is_not_the_targets", "a_traced_one_whose_tracer_lets_it_run"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in SLOW else []) for case in CASES]
)
def test_the_right_one_and_nobody_else(case: str) -> None:
    done = namespace.run("trials.corners", [case])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}
