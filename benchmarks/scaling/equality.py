"""What other engines decided, held to what this process decides: every column of every row, in bounded memory.

Rows come in any order, so each group of events has the sum of its rows' hashes, modulo 2**64, and their number.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from spyderresp.distributed import ACTIONS, Decide

_ROWS = 50_000
_BETWEEN, _NOTHING = "\x1f", "\x1e"
_GROUP = "group"
KEPT = ("id", _GROUP)
Digests = dict[int, tuple[int, int]]


def digests(batches: Iterable[pa.RecordBatch]) -> Digests:
    """Return of each group of events how many rows there are, and the sum of their hashes."""
    counts: Counter[int] = Counter()
    sums: Counter[int] = Counter()
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS):
            part = batch.slice(start, _ROWS)
            groups = part.column(_GROUP).to_numpy()
            hashes = _hashes(part)
            for group in np.unique(groups):
                chosen = hashes[groups == group]
                counts[int(group)] += len(chosen)
                sums[int(group)] = (sums[int(group)] + int(chosen.sum(dtype=np.uint64))) % 2**64
    return {group: (count, sums[group]) for group, count in sorted(counts.items())}


def _hashes(part: pa.RecordBatch) -> np.ndarray:
    columns = [part.column(name) for name in KEPT]
    for field in ACTIONS:
        column = part.column(field.name)
        columns += column.flatten() if pa.types.is_struct(field.type) else [column]
    texts = [pc.fill_null(column.cast(pa.string()), _NOTHING) for column in columns]
    joined = pc.binary_join_element_wise(*texts, _BETWEEN)
    made = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in joined.to_pylist())
    return np.frombuffer(made, np.uint64)


def local(decide: Decide, events: Path) -> Iterator[pa.RecordBatch]:
    """Yield what this process decides."""
    return map(decide, ds.dataset(events, format="parquet").to_batches(fragment_readahead=1, batch_readahead=2))


def written(folder: Path) -> Iterator[pa.RecordBatch]:
    """Yield what somebody wrote."""
    return ds.dataset(folder, format="parquet").to_batches(fragment_readahead=1, batch_readahead=2)
