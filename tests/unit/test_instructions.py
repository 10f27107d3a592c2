"""What a decision takes does not grow with the policies. Counted by callgrind, which no other work disturbs."""

from __future__ import annotations

import shutil

import pytest
from instructions import instructions
from native import CannotBuildError, native_module

SMALL, LARGE = 12, 300


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
@pytest.mark.parametrize(("stream", "most"), [("repeating", 1.5), ("never-seen", 3.0)])
def test_instructions_do_not_grow_with_the_policies(stream, most):
    try:
        native_module("counting")
    except CannotBuildError as error:
        pytest.skip(str(error))
    small, large = (instructions("evaluate", stream, size, 200) for size in (SMALL, LARGE))
    assert small > 1_000
    assert large / small < most, f"{small:,.0f} instructions at {SMALL} policies, {large:,.0f} at {LARGE}"
