"""Counts over time, in bounded memory: where the buckets become too many they become longer."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

#: Lengths of a bucket in seconds, one a multiple of the one before.
WIDTHS: Final = (60, 300, 900, 3_600, 21_600, 86_400, 604_800, 4_838_400, 58_060_800, 1_161_216_000)
#: How many buckets there may be.
MOST: Final = 512


class Timeline:
    """Counts of numbers over time.

    Attributes:
        width: seconds of a bucket.
        buckets: by the second at which each begins, how often each number was counted.
    """

    def __init__(self) -> None:
        self.width = WIDTHS[0]
        self.buckets: dict[int, dict[int, int]] = {}

    def add(self, second: float, number: int, count: int = 1) -> None:
        """Count a number so often at a time in epoch seconds."""
        start = int(second // self.width) * self.width
        bucket = self.buckets.get(start)
        if bucket is None:
            bucket = self.buckets[start] = defaultdict(int)
            bucket[number] += count
            while len(self.buckets) > MOST and self.width < WIDTHS[-1]:
                self._coarsen()
        else:
            bucket[number] += count

    def _coarsen(self) -> None:
        self.width = WIDTHS[WIDTHS.index(self.width) + 1]
        old, self.buckets = self.buckets, {}
        for start, counts in sorted(old.items()):
            bucket = self.buckets.setdefault(start // self.width * self.width, defaultdict(int))
            for number, count in counts.items():
                bucket[number] += count
