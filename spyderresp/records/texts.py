"""Values that are fit to leave: JSON of bounded size that every reader takes."""

from __future__ import annotations

import math
from typing import Any, Final

#: The most characters of one text; a Linux path has fewer.
LONGEST: Final = 4096
#: Stands where more was.
CUT: Final = "…"


def clean(text: str, most: int = LONGEST) -> str:
    """Return a text without lone surrogates, cut to ``most`` characters.

    A lone surrogate (how Python holds a byte of a path that is not UTF-8) becomes a backslash escape: strict JSON
    readers refuse a whole batch for one.
    """
    kept = text if len(text) <= most else text[: most - 1] + CUT
    if kept.isascii():
        return kept
    return kept.encode("utf-8", "backslashreplace").decode("utf-8")


def scalar(value: Any, most: int = LONGEST) -> str | int | float | bool | None:
    """Return a text, a truth value or a number that JSON readers agree on; None for anything else."""
    if isinstance(value, str):
        return clean(value, most)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return None
