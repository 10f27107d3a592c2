"""What a batch's rows come to, counted in columns (extra: ``arrow``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from spyderresp.steps import epoch_seconds

# The shape that `epoch_seconds` takes, of at most nine digits: what Arrow reads too.
_RFC3339: Final = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$"
_MOST: Final = 1e12
_MICRO: Final = 1_000_000
Timed = Iterator[tuple[int, int, int]]


def gathered(
    result: Any, batch: pa.RecordBatch, kills: Sequence[bool], width: int
) -> tuple[list[tuple[int, int]], Timed, list[int]]:
    """Return what there is to count of a batch.

    Args:
        result: what ``evaluate_batch`` returned.
        batch: its rows.
        kills: of each outcome, whether it kills.
        width: seconds of a bucket.

    Returns:
        Each outcome and its rows; each outcome, the second at which a bucket begins, and its rows in there; and the
        rows that kill.
    """
    outcomes = result.outcomes
    counted = pc.value_counts(outcomes)
    counts = list(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
    killing = pc.indices_nonzero(pc.take(pa.array(kills, pa.bool_()), outcomes)).to_pylist() if any(kills) else []
    seconds = _seconds(batch)
    if seconds is None:
        return counts, iter(()), killing
    starts = pc.multiply(pc.cast(pc.floor(pc.divide(seconds, float(width))), pa.int64()), width)
    table = pa.table({"outcome": outcomes, "start": starts}).filter(pc.is_valid(starts))
    grouped = table.group_by(["outcome", "start"]).aggregate([([], "count_all")])
    timed = zip(*(grouped.column(name).to_pylist() for name in ("outcome", "start", "count_all")), strict=True)
    return counts, timed, killing


def seconds_of(batch: pa.RecordBatch, row: int, time: Any) -> float | None:
    """Return the time of a row in epoch seconds, or None; ``time`` is what its plan says."""
    column = _time(batch)
    if column is not None and pa.types.is_timestamp(column.type):
        value = column.cast(pa.timestamp("us", column.type.tz), safe=False)[row].value
        return None if value is None else value / _MICRO
    return epoch_seconds(time)


def _time(batch: pa.RecordBatch) -> Any:
    places = batch.schema.get_all_field_indices("time")
    return batch.column(places[0]) if places else None


def _seconds(batch: pa.RecordBatch) -> Any:
    """Return the times of all rows in epoch seconds, null where there is none that can be read; None without any."""
    column = _time(batch)
    if column is None or pa.types.is_null(column.type):
        return None
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind):
        micros = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
        return pc.divide(pc.cast(micros, pa.float64(), safe=False), float(_MICRO))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        seconds = pc.cast(column, pa.float64(), safe=False)
        return pc.if_else(pc.less(pc.abs(seconds), _MOST), seconds, pa.scalar(None, pa.float64()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        texts = column.cast(pa.string()) if pa.types.is_string_view(kind) else column
        return _read(texts)
    return None


def _read(texts: Any) -> Any:
    shaped = pc.if_else(pc.match_substring_regex(texts, _RFC3339), texts, pa.scalar(None, texts.type))
    if shaped.null_count == texts.null_count:
        try:
            micros = shaped.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
            return pc.divide(pc.cast(micros, pa.float64(), safe=False), 1e9)
        except pa.ArrowInvalid:
            pass  # a day that no month has, or a year beyond nanoseconds
    return pa.array([epoch_seconds(text) for text in texts.to_pylist()], pa.float64())
