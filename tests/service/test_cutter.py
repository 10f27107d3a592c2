"""A stream is cut into lines wherever its chunks end, in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spyderresp.events.records import LineSplitter

CHUNKS = st.lists(st.text(alphabet="ab\n", max_size=7).map(str.encode), max_size=12)


def lines_of(chunks: list[bytes], limit: int) -> tuple[dict[int, bytes], list[int], int]:
    cutter = LineSplitter(limit)
    held: dict[int, bytes] = {}
    long: list[int] = []
    for piece in [*map(cutter.feed, chunks), cutter.end()]:
        if piece is not None:
            long += piece.long
            lines = piece.data.split(b"\n")
            if lines[-1] == b"":
                lines.pop()
            for number, text in enumerate(lines, piece.first):
                assert number not in held
                held[number] = text
    return held, long, cutter.number


@given(CHUNKS)
def test_no_line_is_lost_or_made_up(chunks):
    whole = b"".join(chunks)
    expected = dict(enumerate(whole.split(b"\n"), 1))
    if expected[len(expected)] == b"":
        del expected[len(expected)]
    held, long, _ = lines_of(chunks, 100)
    assert (held, long) == (expected, [])


def test_chunks_that_split_a_long_line_anywhere():
    whole = b"a" * 9 + b"\nbb\n" + b"c" * 5 + b"\n" + b"d" * 12
    for size in range(1, len(whole) + 1):
        chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
        held, long, number = lines_of(chunks, 5)
        # A long line that comes in one piece with its end needs no room, and is kept.
        assert set(long) <= {1, 4}
        assert {2: b"bb", 3: b"ccccc"}.items() <= held.items()
        assert set(held) | set(long) == {1, 2, 3, 4}
        assert number == 5


def test_a_line_without_end_takes_no_memory():
    cutter = LineSplitter(1000)
    for _ in range(1000):
        assert cutter.feed(b"x" * 1000) is None
    assert cutter.waiting == 1_000_000
    piece = cutter.feed(b"\nok\n")
    assert piece is not None
    assert (piece.data, piece.first, piece.long) == (b"ok\n", 2, (1,))
    assert cutter.end() is None
