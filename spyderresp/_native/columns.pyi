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

def pick(
    rows: int, offsets: tuple[int, int], valid: tuple[int, int], keys: _Texts, wanted: TextTable
) -> tuple[list[bytes], int, str]: ...
