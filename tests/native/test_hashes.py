"""Hashes of texts and numbers: secret to a process, and different for different texts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from spyderresp.decision import _hash_tables


def hashes_elsewhere(seed: str) -> tuple[int, int]:
    code = "from spyderresp.decision import _hash_tables as t; print(t.text_hash(b'abc'), t.numbers_hash([1, 2]))"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment, timeout=60)
    one, two = map(int, done.stdout.split())
    return one, two


def test_hashes_are_secret_to_a_process() -> None:
    """So that nobody can prepare texts, or combinations of texts, whose hashes collide."""
    assert _hash_tables.text_hash(b"abc") == _hash_tables.text_hash(b"abc")
    texts, numbers = zip(*(hashes_elsewhere("0") for _ in range(3)), strict=True)
    assert len({*texts, _hash_tables.text_hash(b"abc")}) == 4
    assert len({*numbers, _hash_tables.numbers_hash([1, 2])}) == 4


def colliding(count: int) -> list[bytes]:
    """Return texts that an unkeyed hash of products cannot tell apart: the second word undoes what the first did."""
    factor, mask = 0xD6E8FEB86659FD93, 2**64 - 1
    texts = []
    for number in range(count):
        first = number.to_bytes(8, "little")
        mixed = (24 * 0x9E3779B97F4A7C15 ^ int.from_bytes(first, "little")) * factor & mask
        second = mixed ^ mixed >> 32
        texts.append(first + second.to_bytes(8, "little") + b"the same")
    return texts


def test_texts_crafted_against_an_unkeyed_hash_differ() -> None:
    texts = colliding(10_000)
    found = [_hash_tables.text_hash(text) for text in texts]
    assert len(set(found)) == len(texts)
    # Nor do many share a place in a table of 32,768.
    places = Counter(value & 0x7FFF for value in found)
    assert max(places.values()) < 12


@given(st.lists(st.binary(max_size=40), min_size=2, max_size=40, unique=True))
def test_different_texts_have_different_hashes(texts: list[bytes]) -> None:
    assert len({_hash_tables.text_hash(text) for text in texts}) == len(texts)
