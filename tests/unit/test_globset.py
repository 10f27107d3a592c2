"""Of many globs few are tried, and each at most once: by what it counts, not by the clock."""

from __future__ import annotations

import pytest

from spyderresp.decision._globs import GlobSet

COUNT = 1_000


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("registry.example/app-{:04}:*", "registry.example/app-0500:1"),
        ("*-{:04}.sh", "/tmp/run-0500.sh"),
        ("*-{:04}-*", "a-0500-b"),
        ("/opt/*/{:04}/run", "/opt/x/0500/run"),
        ("/opt/{:04}?x*y", "/opt/0500-xzy"),
    ],
)
def test_only_globs_whose_anchor_a_value_has_are_tried(pattern: str, value: str) -> None:
    globs = GlobSet(tuple(pattern.format(number) for number in range(COUNT)))
    found, tried = globs.matching(value)
    assert found == [500]
    # Globs that share three characters of the middle are told apart by trying them.
    assert tried <= COUNT / 10


def test_a_glob_is_tried_once_however_often_its_anchor_comes() -> None:
    globs = GlobSet(("*aaa*x*", "*aaa*y*"))
    assert globs.matching("a" * 10_000) == ([], 2)


def test_what_has_no_anchor_is_always_tried() -> None:
    assert GlobSet(("*", "?", "[ab]*")).matching("a") == ([0, 1, 2], 3)
    assert GlobSet(()).matching("a") == ([], 0)
