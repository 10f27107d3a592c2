"""Record batches out of Parquet and Arrow IPC, only the columns that are needed (extra: ``arrow``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from spyderresp.errors import EventError
from spyderresp.recorded.files import Kind, RecordedError
from spyderresp.recorded.parquet import ParquetTable
from spyderresp.recorded.wanted import Wanted, wanted

__all__ = ["ROWS", "batches", "is_normal", "rows", "seconds_of", "wanted"]

#: Rows of a batch: bounds the memory that one takes. What is said once for each batch is little for so many.
ROWS: Final = 131_072
#: Columns by which records of other forms are known; such a table holds no events in the normal form.
_MARKS: Final = frozenset(
    {"schema", "kind", "output_fields", "rule", "process_exec", "process_exit", "process_kprobe", "apiVersion"}
)


def batches(file: IO[bytes], kind: Kind, columns: Wanted) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows, at most ``ROWS`` at a time.

    Args:
        file: an open file.
        kind: what it holds.
        columns: what is looked at; of a table in another form all is.

    Raises:
        RecordedError: it is damaged, or holds what Arrow does not read.
        OSError: it cannot be read.
    """
    try:
        yield from _batches(file, kind, columns)
    except (pa.ArrowException, EOFError) as error:
        raise RecordedError(getattr(file, "name", ""), str(error).partition("\n")[0].lower()) from None


def _batches(file: IO[bytes], kind: Kind, columns: Wanted) -> Iterator[pa.RecordBatch]:
    if kind == "parquet":
        table = ParquetTable(file)
        paths = columns.paths(table.schema, table.never_null) if is_normal(table.schema) else None
        yield from table.batches(ROWS, paths)
        return
    reader = pa.ipc.open_file(file) if kind == "ipc-file" else pa.ipc.open_stream(file)
    read = (reader.get_batch(i) for i in range(reader.num_record_batches)) if kind == "ipc-file" else reader
    for batch in read:
        for start in range(0, batch.num_rows, ROWS):
            yield batch.slice(start, ROWS)


def is_normal(schema: pa.Schema) -> bool:
    """Tell whether a table's columns bear no mark of another form."""
    return _MARKS.isdisjoint(schema.names)


def rows(batch: pa.RecordBatch) -> Iterator[Any]:
    """Yield every row as a mapping, nulls left out, maps as dicts; a time that is a timestamp in epoch seconds.

    Of a row that holds what is no text, say so by an ``EventError`` in its place.
    """
    place = batch.schema.get_field_index("time")
    if place >= 0 and pa.types.is_timestamp(batch.schema.types[place]):
        batch = batch.set_column(place, "time", seconds_of(batch.column(place)))
    kinds = {field.name: field.type for field in batch.schema}
    for row in _read(batch):
        if isinstance(row, EventError):
            yield row
        else:
            yield {name: _plain(value, kinds[name]) for name, value in row.items() if value is not None}


def _read(batch: pa.RecordBatch) -> list[Any]:
    try:
        held: list[Any] = batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [EventError("", "a text is not valid UTF-8")]
    else:
        return held
    # Halved until what is wrong stands alone.
    half = batch.num_rows // 2
    return [*_read(batch.slice(0, half)), *_read(batch.slice(half))]


def seconds_of(column: Any) -> Any:
    """Return timestamps in epoch seconds, of microseconds each."""
    micros = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    return pc.divide(pc.cast(micros, pa.float64(), safe=False), 1_000_000.0)


def _plain(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_map(kind):
        return {key: _plain(item, kind.item_type) for key, item in value}
    if pa.types.is_struct(kind):
        inner = {field.name: field.type for field in kind}
        return {name: _plain(item, inner[name]) for name, item in value.items() if item is not None}
    return value
