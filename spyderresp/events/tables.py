"""Record batches out of Parquet and Arrow IPC, only the columns that are needed (extra: ``arrow``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from spyderresp.errors import EventError
from spyderresp.events.files import Kind, RecordedError
from spyderresp.events.timestamps import epoch_seconds_of
from spyderresp.policies.policy_set import PolicySet
from spyderresp.policies.vocabulary import LABEL_SCOPES, NAMESPACE_NAME_LABEL, SCOPES

# Parquet: columns of repeated texts are read as dictionaries, so that each distinct text is looked up once. Arrow reads
# dictionaries inside structs only one row group at a time.

#: Bytes of a value, in the file, up to which a column is taken for one of dictionaries.
_SMALL: Final = 4
#: Row groups that are looked at to tell that.
_LOOKED_AT: Final = 8
#: Rows of a row group, on average, from which reading them one by one pays.
_LONG: Final = 8_192


class ParquetTable:
    """A Parquet file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._plain = pq.ParquetFile(file)
        self.schema: pa.Schema = self._plain.schema_arrow

    def batches(self, size: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """Yield the rows, at most ``size`` at a time.

        Args:
            size: the most rows of a batch.
            columns: the paths of the columns to read; None: all.
        """
        metadata = self._plain.metadata
        repeating = [] if columns is None else self._repeating(columns)
        if not repeating or metadata.num_rows < _LONG * metadata.num_row_groups:
            yield from self._plain.iter_batches(size, columns=columns, use_threads=False)
            return
        short = pq.ParquetFile(self._file, metadata=metadata, read_dictionary=repeating)
        for group in range(metadata.num_row_groups):
            yield from short.iter_batches(size, row_groups=[group], columns=columns, use_threads=False)

    def never_null(self, path: str) -> bool:
        """Return whether the statistics of every row group say that a column has no null."""
        metadata, schema = self._plain.metadata, self._plain.schema
        place = next((number for number in range(len(schema)) if schema.column(number).path == path), None)
        if place is None:
            return False
        for group in range(metadata.num_row_groups):
            said = metadata.row_group(group).column(place).statistics
            if said is None or not said.has_null_count or said.null_count:
                return False
        return True

    def _repeating(self, columns: Sequence[str]) -> list[str]:
        """Return those columns whose texts stand in dictionaries, short ones."""
        metadata, schema = self._plain.metadata, self._plain.schema
        groups = [metadata.row_group(number) for number in range(min(metadata.num_row_groups, _LOOKED_AT))]
        found = []
        for number in range(len(schema)):
            leaf = schema.column(number)
            if leaf.physical_type != "BYTE_ARRAY" or not _among(leaf.path, columns):
                continue
            chunks = [group.column(number) for group in groups]
            size = sum(chunk.total_uncompressed_size for chunk in chunks)
            if size <= _SMALL * sum(chunk.num_values for chunk in chunks):
                found.append(leaf.path)
        return found


def _among(path: str, columns: Sequence[str]) -> bool:
    return any(path == column or path.startswith(f"{column}.") for column in columns)


# The columns of a table to read: those that policies name, and those that the caller asks for.

_LABELS: Final = "labels"
#: Read in any case: whether an event has these scopes decides which policies apply to it.
_ALWAYS: Final = ("process", "pod")


@dataclass(frozen=True)
class RequiredColumns:
    """The columns to read.

    Attributes:
        own: names of columns that are not scopes.
        fields: keys of each scope.
        labels: keys of labels of each scope.
        instead: for a path, the paths to read where it has no value.
    """

    own: tuple[str, ...]
    fields: Mapping[str, frozenset[str]]
    labels: Mapping[str, frozenset[str]]
    instead: Mapping[str, tuple[str, ...]]

    def paths(self, schema: pa.Schema, never_null: Callable[[str], bool]) -> list[str]:
        """Return the paths of the columns to read. At least one of each scope: it shows whether the scope is present.

        Args:
            schema: that of the table.
            never_null: whether the column of a path is known to have a value in every row.
        """
        fields = defaultdict(set, {scope: set(keys) for scope, keys in self.fields.items()})
        for path, others in self.instead.items():
            for other in () if never_null(path) else others:
                scope, _, key = other.partition(".")
                fields[scope].add(key)
        return self._paths(schema, fields)

    def _paths(self, schema: pa.Schema, fields: Mapping[str, set[str]]) -> list[str]:
        found = [name for name in self.own if name in schema.names]
        for scope in SCOPES:
            places = schema.get_all_field_indices(scope)
            if not places or not (fields.get(scope) or self.labels.get(scope) or scope in _ALWAYS):
                continue
            kind = schema.types[places[0]]
            if len(places) == 1 and pa.types.is_struct(kind):
                found += self._of_scope(scope, kind, fields.get(scope, set()))
            else:
                found.append(scope)
        return found

    def _of_scope(self, scope: str, kind: pa.DataType, fields: set[str]) -> list[str]:
        found = []
        for field in kind:
            path = f"{scope}.{field.name}"
            if field.name == _LABELS and scope in LABEL_SCOPES:
                keys = self.labels.get(scope, frozenset())
                if pa.types.is_struct(field.type):
                    found += [f"{path}.{inner.name}" for inner in field.type if inner.name in keys]
                elif keys:
                    found.append(path)
            elif field.name in fields:
                found.append(path)
        if found:
            return found
        flat = [field.name for field in kind if not pa.types.is_nested(field.type)]
        return [f"{scope}.{flat[0]}"] if flat else [scope]


def required_columns(
    policies: Iterable[PolicySet],
    own: Iterable[str],
    targets: Iterable[str],
    instead: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> RequiredColumns:
    """Return the columns of events to read.

    Args:
        policies: the policy sets that decide.
        own: further columns, such as ``time``.
        targets: the paths that identify the target, such as ``pod.name``.
        instead: for a path, the paths to read where it has no value.
    """
    fields: dict[str, set[str]] = defaultdict(set)
    labels: dict[str, set[str]] = defaultdict(set)
    for path in targets:
        scope, _, key = path.partition(".")
        fields[scope].add(key)
    for held in policies:
        for scope, keys in held.named.items():
            (labels if scope in LABEL_SCOPES else fields)[scope].update(keys)
    # A namespace's name and the label that it implies stand for each other.
    if NAMESPACE_NAME_LABEL in labels["namespace"] or "name" in fields["namespace"]:
        labels["namespace"].add(NAMESPACE_NAME_LABEL)
        fields["namespace"].add("name")
    return RequiredColumns(
        (*own, "policy_uid", "policy_name"),
        {scope: frozenset(keys) for scope, keys in fields.items()},
        {scope: frozenset(keys) for scope, keys in labels.items()},
        instead,
    )


__all__ = ["ROWS", "batches", "is_normal", "required_columns", "rows"]

#: Rows of a batch: bounds the memory that one takes. What is said once for each batch is little for so many.
ROWS: Final = 131_072
#: Columns by which records of other forms are known; such a table holds no events in the normal form.
_MARKS: Final = frozenset(
    {"schema", "kind", "output_fields", "rule", "process_exec", "process_exit", "process_kprobe", "apiVersion"}
)


def batches(file: IO[bytes], kind: Kind, columns: RequiredColumns) -> Iterator[pa.RecordBatch]:
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


def _batches(file: IO[bytes], kind: Kind, columns: RequiredColumns) -> Iterator[pa.RecordBatch]:
    if kind == "parquet":
        table = ParquetTable(file)
        paths = columns.paths(table.schema, table.never_null) if is_normal(table.schema) else None
        yield from table.batches(ROWS, paths)
        return
    reader = pa.ipc.open_file(file) if kind == "ipc-file" else pa.ipc.open_stream(file)
    read = (reader.get_batch(i) for i in range(reader.num_record_batches)) if kind == "ipc-file" else reader
    for batch in read:
        # An Arrow file is memory as it stands: an offset in it may lead anywhere.
        batch.validate(full=True)
        for start in range(0, batch.num_rows, ROWS):
            yield batch.slice(start, ROWS)


def is_normal(schema: pa.Schema) -> bool:
    """Return whether a table has no column of another form."""
    return _MARKS.isdisjoint(schema.names)


def rows(batch: pa.RecordBatch) -> Iterator[Any]:
    """Yield every row as a mapping, nulls left out, maps as dicts; a time that is a timestamp in epoch seconds.

    Of a row that holds what is no text, say so by an ``EventError`` in its place.
    """
    place = batch.schema.get_field_index("time")
    if place >= 0 and pa.types.is_timestamp(batch.schema.types[place]):
        batch = batch.set_column(place, "time", epoch_seconds_of(batch.column(place)))
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


def _plain(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_map(kind):
        return {key: _plain(item, kind.item_type) for key, item in value}
    if pa.types.is_struct(kind):
        inner = {field.name: field.type for field in kind}
        return {name: _plain(item, inner[name]) for name, item in value.items() if item is not None}
    return value
