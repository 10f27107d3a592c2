"""Trees and groups that fight back: every case of ``python -m tests.rig trees``, once."""

from __future__ import annotations

import json

import pytest
from rig import namespace
from rig.trees import CASES

pytestmark = pytest.mark.skipif(bool(namespace.why_not()), reason=namespace.why_not())


@pytest.mark.parametrize("case", CASES)
def test_nothing_outside_dies_and_nobody_is_told_done_over_a_survivor(case: str) -> None:
    done = namespace.run("rig.trees", [case])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}
