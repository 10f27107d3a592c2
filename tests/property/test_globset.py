"""Many patterns at once, exact texts and globs of every kind, match what each of them matches alone."""

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


# From each width of character that Python stores, the first and the last.
texts = st.text("a\x7f\x80ÿĀ\ud7ff\ud800\udfff\ue000\U00010000\U0010ffff", max_size=5)


@given(
    st.lists(shaped | texts, max_size=12),
    st.lists(texts | words | nasty | st.builds("{0}{0}{0}".format, words), max_size=6),
)
@example(["*", "a*", "*a", "*aaa*", "*aab*", "aaa"], ["a", "aaa", "aaaaab", ""])
@example(["*éab*", "é*", "*\U0001f600"], ["é", "éab", "xéab\U0001f600"])
def test_equals_each_glob_alone(patterns: list[str], values: list[str]) -> None:
    held = engine(patterns)
    for value in (*values, *(pattern + "\0" for pattern in patterns), *(pattern[:-1] for pattern in patterns)):
        assert matching(held, value) == [place for place, pattern in enumerate(patterns) if wanted(value, pattern)]
