"""Times of events: read, one by one and in columns, and written as other formats have them."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any, Final

_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(?:([Zz])|([+-]\d\d:\d\d))", re.ASCII
)
#: The forms of RFC 3339 that Arrow reads as Python does, if the day exists. It has no nanoseconds before 1678.
_ARROW_FORM: Final = r"^(1[7-9]|2[01])\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$"
_MICROSECONDS: Final = 1_000_000.0
_HIGHEST: Final = 1e12


def epoch_seconds(moment: Any) -> float | None:
    """Return an event's ``time``, RFC 3339 text or epoch seconds, as epoch seconds; None where it is neither."""
    if isinstance(moment, bool):
        return None
    if isinstance(moment, (int, float)):
        try:
            seconds = float(moment)
        except OverflowError:
            return None
        return seconds if abs(seconds) < _HIGHEST else None
    if not isinstance(moment, str) or not (match := _RFC3339.fullmatch(moment)):
        return None
    day, clock, fraction, zulu, offset = match.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zulu else offset}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        # No such day or hour; or one whose zone leads out of the calendar.
        return None
    return whole.timestamp() + float(f"0.{fraction or 0}")


def epoch_seconds_of(column: Any) -> Any:
    """Return the times of an Arrow column as doubles, each as ``epoch_seconds`` gives it (extra: ``arrow``).

    Args:
        column: a ``pyarrow.Array`` of any type. Types that are no time give nulls.

    Raises:
        ImportError: pyarrow is missing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        return epoch_seconds_of(column.dictionary).take(column.indices)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _of_texts(column.cast(pa.large_string()), pa, pc)
    if pa.types.is_timestamp(kind):
        micros = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
        seconds = pc.divide(pc.cast(micros, pa.float64(), safe=False), _MICROSECONDS)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        seconds = pc.cast(column, pa.float64(), safe=False)
    else:
        return pa.nulls(len(column), pa.float64())
    return pc.if_else(pc.less(pc.abs(seconds), _HIGHEST), seconds, None)


def _of_texts(texts: Any, pa: Any, pc: Any) -> Any:
    fits = pc.match_substring_regex(texts, _ARROW_FORM)
    try:
        nanos = pc.if_else(fits, texts, None).cast(pa.timestamp("ns", "UTC"))
    except pa.ArrowInvalid:  # a day that does not exist
        nanos, fits = None, pa.array([False] * len(texts))
    rest = texts.filter(pc.invert(fits))
    distinct = pc.unique(rest)
    found = pa.array([epoch_seconds(text.as_py()) for text in distinct], pa.float64())
    others = found.take(pc.index_in(rest, value_set=distinct))
    if nanos is None:
        return others
    # Further digits are cut off, as `epoch_seconds` does; a cast would round them towards 1970.
    seconds = epoch_seconds_of(pc.floor_temporal(nanos, unit="microsecond"))
    return pc.replace_with_mask(seconds, pc.invert(fits), others)


def rfc3339(seconds: Any) -> str | None:
    """Return epoch seconds as an RFC 3339 text in UTC with microseconds; None if the year is out of range."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return None
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def milliseconds(seconds: Any) -> int:
    """Return epoch seconds as whole milliseconds; 0 if the value is not a number in range."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return 0
    try:
        return int(seconds * 1000)
    except (OverflowError, ValueError):
        return 0
