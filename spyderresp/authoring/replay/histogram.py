"""How many events each outcome has, over time, counted in columns (extra: ``arrow``)."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

#: Lengths of a bucket in seconds, each a multiple of the one before.
WIDTHS: Final = (60, 300, 900, 3_600, 21_600, 86_400, 604_800, 4_838_400, 58_060_800, 1_161_216_000)
#: The most buckets. Where there would be more, buckets become longer.
MOST: Final = 512
#: Rows of counts that are waiting to be added up.
_WAITING: Final = 250_000
#: A multiple of every width, above every time: it makes times positive, since Arrow's division rounds towards zero.
_OFFSET: Final = 1_000 * WIDTHS[-1]
_SCHEMA: Final = pa.schema([("start", pa.int64()), ("outcome", pa.int32()), ("events", pa.int64())])


class Histogram:
    """Counts events by the start of their bucket (null: no time) and the number of their outcome.

    Attributes:
        width: seconds of a bucket.
    """

    def __init__(self) -> None:
        self.width = WIDTHS[0]
        self._tables = [_SCHEMA.empty_table()]
        self._rows = 0

    def add(self, outcomes: pa.Array, seconds: pa.Array) -> None:
        """Count events: the number of the outcome (int32) and the epoch seconds (double or null) of each."""
        whole = pc.cast(pc.floor(seconds), pa.int64())
        table = pa.table([self._starts(whole), outcomes], ["start", "outcome"])
        self._add(table.group_by(["start", "outcome"]).aggregate([([], "count_all")]).rename_columns(_SCHEMA.names))

    def add_counts(self, counts: pa.Table, width: int) -> None:
        """Add what ``counts`` returned for buckets of that width."""
        while self.width < width:
            self._widen()
        self._add(counts.set_column(0, "start", self._starts(counts["start"])))

    def counts(self) -> pa.Table:
        """Return the columns ``start``, ``outcome`` and ``events``, a row for each bucket and outcome."""
        if len(self._tables) > 1:
            self._merge()
            while pc.count_distinct(self._tables[0]["start"]).as_py() > MOST and self.width != WIDTHS[-1]:
                self._widen()
        return self._tables[0]

    def _add(self, counts: pa.Table) -> None:
        self._tables.append(counts)
        self._rows += len(counts)
        if self._rows > max(_WAITING, len(self._tables[0])):
            self.counts()

    def _starts(self, seconds: pa.Array) -> pa.Array:
        width = pa.scalar(self.width, pa.int64())
        offset = pa.scalar(_OFFSET, pa.int64())
        return pc.subtract(pc.multiply(pc.divide(pc.add(seconds, offset), width), width), offset)

    def _merge(self) -> None:
        table = pa.concat_tables(self._tables).group_by(["start", "outcome"]).aggregate([("events", "sum")])
        self._tables, self._rows = [table.rename_columns(_SCHEMA.names).cast(_SCHEMA)], 0

    def _widen(self) -> None:
        self.width = WIDTHS[WIDTHS.index(self.width) + 1]
        self._tables = [table.set_column(0, "start", self._starts(table["start"])) for table in self._tables]
        self._merge()
