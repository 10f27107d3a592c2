"""Up to where a partition is done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spyderresp.service.sources.kafka import PartitionProgress


@given(st.sets(st.integers(0, 200), min_size=1), st.randoms(use_true_random=False))
def test_nothing_is_told_before_all_before_it_is_done(offsets, draw):
    begun, progress = sorted(offsets), PartitionProgress()
    for offset in begun:
        progress.begin(offset)
    order = list(begun)
    draw.shuffle(order)
    done = set()
    for offset in order:
        progress.end(offset)
        done.add(offset)
        # Offsets have gaps: what is told is one beyond the last of those done in a row.
        row = next((n for n, each in enumerate(begun) if each not in done), len(begun))
        assert progress.next == (begun[row - 1] + 1 if row else None)
        assert progress.waits == (row < len(begun))


def test_the_broker_is_told_once_and_again_where_it_did_not_hear():
    progress = PartitionProgress()
    assert progress.next_commit() is None
    progress.begin(5)
    assert progress.next_commit() is None
    progress.end(5)
    assert [progress.next_commit(), progress.next_commit()] == [6, None]
    progress.commit_failed()
    assert progress.next_commit() == 6


def test_a_topic_that_was_made_anew_begins_anew():
    progress = PartitionProgress()
    for offset in (100, 0):
        progress.begin(offset)
        progress.end(offset)
    assert progress.next_commit() == 1
