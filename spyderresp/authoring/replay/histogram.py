"""How time is cut: into buckets, which become longer where there would be too many."""

from __future__ import annotations

import math
import struct
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from spyderresp.authoring.replay._kills import Kills
from spyderresp.authoring.replay._moments import seconds_of_texts
from spyderresp.authoring.replay._occurrences import Occurrences
from spyderresp.decision.arrow_columns import Memory
from spyderresp.decision.batch_result import row_cells
from spyderresp.errors import EventError
from spyderresp.execution.steps import epoch_seconds

#: Lengths of a bucket in seconds, one a multiple of the one before.
WIDTHS: Final = (60, 300, 900, 3_600, 21_600, 86_400, 604_800, 4_838_400, 58_060_800, 1_161_216_000)
#: How many buckets there may be.
MOST: Final = 512


# What a batch's rows come to, counted in columns (extra: ``arrow``).


def _double(value: float) -> pa.Scalar:
    """Return a scalar. Of a buffer: ``pa.scalar`` imports pandas, where it is installed, to tell what it is given."""
    return pa.Array.from_buffers(pa.float64(), 1, [None, pa.py_buffer(struct.pack("=d", value))])[0]


_MOST: Final = _double(1e12)
_MICRO: Final = _double(1e6)
_NAN: Final = _double(math.nan)


def count(result: Any, batch: pa.RecordBatch, numbers: bytes, met: Occurrences, kills: Kills) -> None:
    """Count the rows of a batch.

    Args:
        result: what ``evaluate_batch`` returned.
        batch: its rows.
        numbers: the number of each of its outcomes.
        met: counts them.
        kills: counts their kills.

    Raises:
        EventError: a row that kills says of its target what is no text; nothing is counted then.
    """
    times = _seconds(batch)
    address = 0 if times is None else times.address
    if kills.any(numbers):
        cells = row_cells(batch)
        if cells is None:
            _one_by_one(result, numbers, times, kills)
        else:
            try:
                kills.walk(result.decided, numbers, address, cells)
            except ValueError as error:
                raise EventError("", str(error)) from None
    met.add_rows(result.decided, numbers, address)


def _one_by_one(result: Any, numbers: bytes, times: Any, kills: Kills) -> None:
    """Count kills where a column has a type that is not read natively."""
    seconds = None if times is None else memoryview(times).cast("d")
    known = memoryview(numbers).cast("i")
    rows = [(row, known[outcome]) for row, outcome in enumerate(result.outcomes.to_pylist())]
    # All are read before any is counted.
    plans = [(row, number, result[row]) for row, number in rows if kills.has(number)]
    for row, number, plan in plans:
        second = None if seconds is None or math.isnan(seconds[row]) else seconds[row]
        kills.strike_plan(number, second, plan)


def _seconds(batch: pa.RecordBatch) -> Any:
    """Return the times of all rows in epoch seconds, doubles, NaN where there is none; None without any."""
    places = batch.schema.get_all_field_indices("time")
    column = batch.column(places[0]) if places else None
    if column is None or pa.types.is_null(column.type):
        return None
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        memory = Memory()
        return pa.py_buffer(seconds_of_texts(memory.texts(column, "time", ()), len(column), epoch_seconds))
    if kind is not column.type:
        column = column.dictionary_decode()
    if pa.types.is_timestamp(kind):
        micros = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
        seconds = pc.divide(pc.cast(micros, pa.float64(), safe=False), _MICRO)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        seconds = pc.cast(column, pa.float64(), safe=False)
        seconds = pc.if_else(pc.less(pc.abs(seconds), _MOST), seconds, _NAN)
    else:
        return None
    # Bare values from the first row on, without a bitmap.
    filled = pc.fill_null(seconds, _NAN)
    return filled.buffers()[1].slice(8 * filled.offset)
