"""Objects of which only some fields were sent, and beside them whether they were there at all."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def mended(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Return events whose objects are null where the last columns, one for each name, say so; without these."""
    if not names:
        return batch
    columns, flags = batch.columns[: -len(names)], batch.columns[-len(names) :]
    said = batch.schema.names[: len(columns)]
    for name, here in zip(names, flags, strict=True):
        place = said.index(name)
        held = columns[place]
        fields = [held.field(number) for number in range(held.type.num_fields)]
        columns[place] = pa.StructArray.from_arrays(fields, fields=list(held.type), mask=pc.invert(here))
    return pa.RecordBatch.from_arrays(columns, said)
