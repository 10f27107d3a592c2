"""Record batches out of Parquet, texts that repeat as dictionaries (extra: ``arrow``).

A dictionary's texts are looked up once each, and reading it copies no text a row. Arrow reads dictionaries inside
structs from one row group at a time only, as each has its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Final

import pyarrow as pa
import pyarrow.parquet as pq

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
        """Yield the rows, at most so many at a time: of these columns, told by their paths; None: of all."""
        metadata = self._plain.metadata
        repeating = [] if columns is None else self._repeating(columns)
        if not repeating or metadata.num_rows < _LONG * metadata.num_row_groups:
            yield from self._plain.iter_batches(size, columns=columns, use_threads=False)
            return
        short = pq.ParquetFile(self._file, metadata=metadata, read_dictionary=repeating)
        for group in range(metadata.num_row_groups):
            yield from short.iter_batches(size, row_groups=[group], columns=columns, use_threads=False)

    def never_null(self, path: str) -> bool:
        """Tell whether a column is known to have a value in every row, by what the file says of each row group."""
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
