"""Pairs of outcomes of a batch's rows, counted in columns (extra: ``arrow``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spyderresp.decision.batch_result import BatchResult


class Pairs:
    """What two engines make of one batch's rows.

    Attributes:
        counts: each distinct pair as the numbers of its outcomes and how many rows have it, in order of first rows.
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

    def first_rows(self, places: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
        """Yield place in ``counts`` and row, for the first so many rows of each of these pairs, in order of rows."""
        if not places:
            return
        found = pc.index_in(self._rows, value_set=self._pairs.take(pa.array(places, pa.int64())))
        rows = pc.indices_nonzero(pc.is_valid(found))
        left = [most] * len(places)
        for row, place in zip(rows.to_pylist(), found.take(rows).to_pylist(), strict=True):
            if left[place]:
                left[place] -= 1
                yield places[place], row
