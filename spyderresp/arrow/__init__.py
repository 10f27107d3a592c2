"""Arrow columns in, columns out: what ``Engine.evaluate_batch`` does. No other module of the core imports pyarrow.

The columns are those of the normal form: a struct each of cluster, machine, namespace, pod, container, service and
process; labels as map or struct; policy_uid, policy_name, id and time beside them. Null is absence, and so is a column
that is missing. What is decided where is ``decision._batch``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from spyderresp.arrow.columns import Columns
from spyderresp.arrow.result import BatchContext, BatchResult
from spyderresp.decision._batch import Batch
from spyderresp.decision._index import DecisionIndex
from spyderresp.errors import EventError

__all__ = ["BatchResult", "evaluate_batch"]


def evaluate_batch(index: DecisionIndex, data: Any) -> BatchResult:
    """Decide every row of a RecordBatch, a Table, a reader, or whatever exports one of them by Arrow's C interface.

    Raises:
        EventError: a column that is checked has the wrong type, or holds what is no text.
        TypeError: ``data`` is none of these.
    """
    kept: BatchContext | None = index.batching
    if kept is None:
        kept = index.batching = BatchContext.of(index)
    decided = Batch(index, kept.columns, kept.idle)
    batches = []
    for batch in _batches(data):
        batch.validate()
        columns = Columns(index, batch)
        fault = decided.add(batch.num_rows, columns.attributes, columns.scopes)
        if fault is not None:
            place, row, what = fault
            raise EventError(columns.path(place), f"row {row}: {what}")
        batches.append(batch)
    decided.complete()
    return BatchResult(decided, kept, batches)


def _batches(data: Any) -> Iterable[pa.RecordBatch]:
    batches: Iterable[pa.RecordBatch]
    if isinstance(data, pa.RecordBatch):
        batches = [data]
    elif isinstance(data, pa.Table):
        batches = data.to_batches()
    elif isinstance(data, pa.RecordBatchReader):
        batches = data
    elif hasattr(data, "__arrow_c_stream__"):
        batches = pa.RecordBatchReader.from_stream(data)
    elif hasattr(data, "__arrow_c_array__"):
        batches = [pa.record_batch(data)]
    else:
        raise TypeError("evaluate_batch() takes a pyarrow RecordBatch, Table or RecordBatchReader")
    return batches
