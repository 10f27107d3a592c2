"""Tables of texts: equal just where the strs are, of every kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spyderresp.decision._hash_tables import TextTable

texts = st.text(st.characters(codec=None) | st.sampled_from("a\x7f\x80ÿĀ\ud7ff\ud800\udfff\ue000\U00010000\U0010ffff"))


@given(st.lists(texts, unique=True, max_size=40), st.lists(texts, max_size=10))
def test_a_table_is_a_dict(held: list[str], others: list[str]) -> None:
    table = TextTable(held, range(len(held)))
    wanted = {text: place for place, text in enumerate(held)}
    assert table.count == len(held)
    for text in (*held, *others, *(text + "\0" for text in held), *(text[:-1] for text in held)):
        assert table.get(text) == wanted.get(text), text


@pytest.mark.parametrize("length", [*range(18), 63, 64, 65])
def test_every_character_of_a_text_counts(length: int) -> None:
    base = "x" * length
    changed = [base[:place] + "y" + base[place + 1 :] for place in range(length)]
    table = TextTable([base, *changed], range(length + 1))
    assert [table.get(text) for text in (base, *changed)] == list(range(length + 1))
    assert table.get(base + "x") is None


def test_a_text_stands_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        TextTable(["a", "a"], [0, 1])
