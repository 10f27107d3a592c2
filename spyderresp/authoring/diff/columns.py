"""Counts the pairs of plans of a record batch, column by column. Extra ``arrow``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spyderresp.decision.batch_result import BatchResult


class Pairs:
    """The pairs of plans of the rows of one batch.

    Attributes:
        counts: each distinct pair as the numbers of its plans and its number of rows, in the order of first rows.
    """

    def __init__(self, old: BatchResult, new: BatchResult) -> None:
        self._width = new.decided.outcome_count
        left, right = old.outcomes.cast(pa.int64()), new.outcomes.cast(pa.int64())
        self._rows: Any = pc.add(pc.multiply(left, self._width), right)
        counted = pc.value_counts(self._rows)
        self._pairs = counted.field("values")
        counts = counted.field("counts").to_pylist()
        self.counts: list[tuple[int, int, int]] = [
            (*divmod(pair, self._width), count) for pair, count in zip(self._pairs.to_pylist(), counts, strict=True)
        ]

    def first_rows(self, indexes: Sequence[int], limit: int) -> Iterator[tuple[int, int]]:
        """Yield the first rows of some pairs, ``limit`` of each at most, in the order of rows.

        Args:
            indexes: the indexes of the pairs in ``counts``.
            limit: the most rows of a pair.

        Yields:
            the index of a pair in ``counts``, and the row.
        """
        if not indexes:
            return
        pair_of_row = pc.index_in(self._rows, value_set=self._pairs.take(pa.array(indexes, pa.int64())))
        rows = pc.indices_nonzero(pc.is_valid(pair_of_row))
        left = [limit] * len(indexes)
        for row, number in zip(rows.to_pylist(), pair_of_row.take(rows).to_pylist(), strict=True):
            if left[number]:
                left[number] -= 1
                yield indexes[number], row
