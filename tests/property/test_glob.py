"""Globs are fnmatch.fnmatchcase, on any two texts."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from strategies import GLOB_ALPHABET as ALPHABET
from strategies import glob_texts as nasty
from strategies import matches as wanted

from spyderresp.decision._globs import Glob, literal

classes = st.builds("{}[{}]{}".format, st.text("a*?", max_size=2), nasty, st.text("a*?", max_size=2))


@given(nasty | classes | st.text(), nasty | st.text())
@example("[\U0001f600-&!]", "|")
@example("[b-a!-z]", "-")
@example("[!]", "[!]")
@example("[!]]", "]")
@example("*a*?b", "aab")
def test_equals_fnmatch(pattern: str, value: str) -> None:
    assert Glob(pattern).matches(value) == wanted(value, pattern)


@given(classes, st.sampled_from(ALPHABET) | st.characters())
def test_classes_equal_fnmatch(pattern: str, char: str) -> None:
    assert Glob(pattern).matches(char) == wanted(char, pattern)


@given(nasty | classes, nasty)
def test_a_literal_is_all_that_its_pattern_matches(pattern: str, value: str) -> None:
    text = literal(pattern)
    if text is not None:
        assert wanted(text, pattern)
        assert wanted(value, pattern) == (value == text)
