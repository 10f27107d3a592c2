"""Globs are fnmatch.fnmatchcase, on any two texts."""

from __future__ import annotations

from globs import engine, matching
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import GLOB_ALPHABET as ALPHABET
from strategies import glob_texts as nasty
from strategies import matches as wanted

classes = st.builds("{}[{}]{}".format, st.text("a*?", max_size=2), nasty, st.text("a*?", max_size=2))


@given(nasty | classes | st.text(), nasty | st.text())
@example("[\U0001f600-&!]", "|")
@example("[b-a!-z]", "-")
@example("[!]", "[!]")
@example("[!]]", "]")
@example("*a*?b", "aab")
def test_equals_fnmatch(pattern: str, value: str) -> None:
    assert matching(engine([pattern]), value) == [0] * wanted(value, pattern)


@given(classes, st.sampled_from(ALPHABET) | st.characters())
def test_classes_equal_fnmatch(pattern: str, char: str) -> None:
    assert matching(engine([pattern]), char) == [0] * wanted(char, pattern)
