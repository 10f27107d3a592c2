"""Record batches out of Parquet and Arrow IPC, only the columns that are needed (extra: ``arrow``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from spyderresp._native.reader import IDENTITY
from spyderresp.policy import PolicySet
from spyderresp.recorded.files import Kind, RecordedError
from spyderresp.vocabulary import LABEL_SCOPES, SCOPES

#: Rows of a batch: bounds the memory that one takes.
ROWS: Final = 65_536
_OWN: Final = ("id", "time", "policy_uid", "policy_name")
#: Columns by which records of other forms are known; such a table holds no events in the normal form.
_MARKS: Final = frozenset(
    {"schema", "kind", "output_fields", "rule", "process_exec", "process_exit", "process_kprobe", "apiVersion"}
)


def batches(file: IO[bytes], kind: Kind, policies: Iterable[PolicySet]) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows, at most ``ROWS`` at a time.

    Args:
        file: an open file.
        kind: what it holds.
        policies: they say which columns are looked at.

    Raises:
        RecordedError: it is damaged, or holds what Arrow does not read.
        OSError: it cannot be read.
    """
    try:
        yield from _batches(file, kind, policies)
    except (pa.ArrowException, EOFError) as error:
        raise RecordedError(getattr(file, "name", ""), str(error).partition("\n")[0].lower()) from None


def _batches(file: IO[bytes], kind: Kind, policies: Iterable[PolicySet]) -> Iterator[pa.RecordBatch]:
    if kind == "parquet":
        table = pq.ParquetFile(file)
        yield from table.iter_batches(batch_size=ROWS, columns=_columns(table.schema_arrow, policies))
        return
    reader = pa.ipc.open_file(file) if kind == "ipc-file" else pa.ipc.open_stream(file)
    read = (reader.get_batch(i) for i in range(reader.num_record_batches)) if kind == "ipc-file" else reader
    for batch in read:
        for start in range(0, batch.num_rows, ROWS):
            yield batch.slice(start, ROWS)


def is_normal(schema: pa.Schema) -> bool:
    """Tell whether a table's columns bear no mark of another form."""
    return _MARKS.isdisjoint(schema.names)


def _columns(schema: pa.Schema, policies: Iterable[PolicySet]) -> list[str] | None:
    """Return the columns to read; None for all: of each object what is named, and at least something of it."""
    if not is_normal(schema):
        return None
    named = {scope: set[str]() for scope in SCOPES}
    for scope, keys in IDENTITY:
        named[scope] |= set(keys)
    for held in policies:
        for policy in held:
            for selector in (*policy.selectors, *(one for entry in policy.entries for one in entry.selectors)):
                fields = {clause.key for clause in selector.clauses}
                named[selector.scope] |= {"labels"} if selector.scope in LABEL_SCOPES else fields
    wanted = [name for name in _OWN if name in schema.names]
    for scope in SCOPES:
        if scope not in schema.names:
            continue
        kind = schema.field(scope).type
        has = [field.name for field in kind] if pa.types.is_struct(kind) else []
        # Whether an event has the object is told by any of its columns.
        some = [key for key in has if key in named[scope]]
        wanted += [f"{scope}.{key}" for key in some] if some and not any("." in key for key in has) else [scope]
    return wanted


def rows(batch: pa.RecordBatch) -> Iterator[Any]:
    """Yield every row as a mapping, nulls left out of it, maps as dicts."""
    kinds = {field.name: field.type for field in batch.schema}
    for row in batch.to_pylist():
        yield {name: _plain(value, kinds[name]) for name, value in row.items() if value is not None}


def _plain(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_map(kind):
        return {key: _plain(item, kind.item_type) for key, item in value}
    if pa.types.is_struct(kind):
        inner = {field.name: field.type for field in kind}
        return {name: _plain(item, inner[name]) for name, item in value.items() if item is not None}
    return value
