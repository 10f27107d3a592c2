"""Many globs at once are each of them alone, whatever their anchors."""

from __future__ import annotations

from globs import engine, matching
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import glob_texts as nasty
from strategies import matches as wanted

words = st.text("ab/-é\U0001f600\ud800", max_size=5)
shaped = st.one_of(
    st.builds("{}*".format, words),
    st.builds("*{}".format, words),
    st.builds("*{}*".format, words),
    st.builds("{}*{}".format, words, words),
    st.builds("{}?{}".format, words, words),
    st.builds("[ab]{}*{}[!a]".format, words, words),
    nasty,
)


@given(st.lists(shaped, max_size=12), st.lists(words | nasty | st.builds("{0}{0}{0}".format, words), max_size=6))
@example(["*", "a*", "*a", "*aaa*", "*aab*", "aaa"], ["a", "aaa", "aaaaab", ""])
@example(["*éab*", "é*", "*\U0001f600"], ["é", "éab", "xéab\U0001f600"])
def test_equals_each_glob_alone(patterns: list[str], values: list[str]) -> None:
    held = engine(patterns)
    for value in values:
        assert matching(held, value) == [place for place, pattern in enumerate(patterns) if wanted(value, pattern)]
