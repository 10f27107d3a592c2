"""Of many globs few are tried, and each at most once: by what it counts, not by the clock."""

from __future__ import annotations

import pytest
from globs import engine, matching

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
    held = engine([pattern.format(number) for number in range(COUNT)])
    assert matching(held, value) == [500]
    # Globs that share three characters of the middle are told apart by trying them.
    assert held.stats()["globs_tried"] <= COUNT / 10


@pytest.mark.parametrize("length", [*range(18), 63, 64, 65])
def test_every_character_of_an_exact_text_counts(length: int) -> None:
    base = "x" * length
    texts = [base, *(base[:place] + "y" + base[place + 1 :] for place in range(length))]
    held = engine(texts)
    assert [matching(held, text) for text in texts] == [[place] for place in range(length + 1)]
    assert matching(held, base + "x") == []


@pytest.mark.parametrize(
    ("patterns", "value", "found", "tried"),
    [
        pytest.param(["*aaa*x*", "*aaa*y*"], "a" * 10_000, [], 2, id="an anchor that comes often"),
        pytest.param(["*", "?", "[ab]*"], "a", [0, 1, 2], 3, id="globs without an anchor"),
        pytest.param([], "a", [], 0, id="none"),
    ],
)
def test_how_many_globs_are_tried(patterns: list[str], value: str, found: list[int], tried: int) -> None:
    held = engine(patterns)
    assert matching(held, value) == found
    assert held.stats()["globs_tried"] == tried
