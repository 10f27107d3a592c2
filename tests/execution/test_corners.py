"""Every case of ``python -m tests.trials corners``, once."""

from __future__ import annotations

import json

import pytest
from trials import namespace
from trials.corners import CASES

pytestmark = pytest.mark.skipif(bool(namespace.why_not()), reason=namespace.why_not())


@pytest.mark.parametrize("case", CASES)
def test_the_right_one_and_nobody_else(case: str) -> None:
    done = namespace.run("trials.corners", [case])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}
