"""Arrow memory: what a column is told as, and what is made of columns.

A column is told as ``(texts, validities, indices)``. Addresses are of the buffers' first byte, 0 where there is none:

- texts: ``(offsets, large, data, bytes of data, first, count, validity)``, or None where all are absent;
- validities, of every level: ``(bits, first bit)``;
- indices: ``(address, width, first)``, the width in bytes and negative where signed; or None where plain.
"""

from typing import TypeAlias

from spyderresp._native.text import TextTable

_Texts: TypeAlias = tuple[int, bool, int, int, int, int, tuple[int, int]]
FAULTS: dict[int, str]
"""What can be wrong with a column."""

_Told: TypeAlias = tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None]

def pick(
    rows: int,
    offsets: tuple[int, int],
    valid: tuple[int, int],
    keys: _Told,
    items: _Told,
    entries: int,
    wanted: TextTable,
) -> tuple[list[bytes], int, str]:
    """Find, in a column of maps, the item of each wanted key. The last of equal keys counts.

    Args:
        rows: how many.
        offsets: (address, first) of the maps' offsets, of int32.
        valid: which maps are not null.
        keys: the column of all keys.
        items: the column of all items.
        entries: how many these are.
        wanted: the keys, with their numbers from 0.

    Returns:
        For each key an array of int64 by row: the place among the items' texts, negative where absent; then the row in
        which something is wrong, or -1, and what it is.
    """
