"""How time is cut: into buckets, which become longer where there would be too many."""

from __future__ import annotations

from typing import Final

#: Lengths of a bucket in seconds, one a multiple of the one before.
WIDTHS: Final = (60, 300, 900, 3_600, 21_600, 86_400, 604_800, 4_838_400, 58_060_800, 1_161_216_000)
#: How many buckets there may be.
MOST: Final = 512
