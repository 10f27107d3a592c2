"""Events by the million, as Parquet: a workload's own events, made column by column, the same for the same seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from workloads.model import INTEGER, NUMBER, Workload

#: Rows of a row group, and row groups of a file.
GROUP = 100_000
GROUPS = 10
#: One event in so many has values that no event had before; contexts repeat in all others.
_FRESH = 50
_BEGIN = 1_780_000_000_000_000
_STEP = 2_000
_SCOPES = ("cluster", "machine", "namespace", "pod", "container", "service", "process")
_LABELS = pa.map_(pa.string(), pa.string())


def generate(workload: Workload, folder: Path, events: int, *, seed: int = 1) -> None:
    """Write files that hold that many events; what is there already is left."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Events(workload)
    groups = -(-events // GROUP)
    for first in range(0, groups, GROUPS):
        path = folder / f"{first:06}.parquet"
        numbers = range(first, min(first + GROUPS, groups))
        rows = sum(min(GROUP, events - number * GROUP) for number in numbers)
        if path.exists() and pq.read_metadata(path).num_rows == rows:
            continue
        part = path.with_suffix(".part")
        with pq.ParquetWriter(part, made.schema, compression="zstd") as writer:
            for number in numbers:
                writer.write_batch(made.batch(number, min(GROUP, events - number * GROUP), seed=seed))
        part.rename(path)


class Events:
    """Draws events of a workload: those that repeat, and among them such as never came before."""

    def __init__(self, workload: Workload) -> None:
        texts = [*workload.contexts, *workload.openings]
        self._said = [json.loads(text.replace(f'"{INTEGER}"', "0")) for text in texts]
        self._repeating, self._fresh = _weights(workload.contexts), _weights(workload.openings)
        self._columns = {name: _Struct([event.get(name) for event in self._said]) for name in _SCOPES}
        self._columns = {name: column for name, column in self._columns.items() if column.used}
        self.schema = self.batch(0, 1).schema

    def drawn(self, group: int, count: int, *, seed: int = 1) -> Any:
        """Return which template each row of a group is of."""
        draw = np.random.default_rng([seed, group])
        places = np.searchsorted(self._repeating, draw.random(count))
        fresh = len(self._repeating) + np.searchsorted(self._fresh, draw.random(count))
        return np.where(draw.integers(_FRESH, size=count) == 0, fresh, places)

    def batch(self, group: int, count: int, *, seed: int = 1) -> pa.RecordBatch:
        """Return the rows of a group: of row i number, id, time and whatever is its own say ``group * GROUP + i``."""
        numbers = pa.array(np.arange(group * GROUP, group * GROUP + count))
        taken = _Taken(pa.array(self.drawn(group, count, seed=seed)), numbers)
        times = pc.add(pc.multiply(numbers, _STEP), _BEGIN).cast(pa.timestamp("us", "UTC"))
        columns = {
            "id": pc.binary_join_element_wise("dev:", taken.texts, ""),
            "time": times,
            "group": pa.array(np.full(count, group, np.int32)),
        }
        columns |= {name: column.take(taken) for name, column in self._columns.items()}
        return pa.record_batch(columns)

    def event(self, group: int, row: int, *, seed: int = 1, count: int = GROUP) -> dict[str, Any]:
        """Return one of them in the normal form, made from its template as text."""
        place = int(self.drawn(group, count, seed=seed)[row])
        number = group * GROUP + row
        event: dict[str, Any] = json.loads(json.dumps(self._said[place]).replace(NUMBER, str(number)))
        event["id"] = f"dev:{number}"
        del event["time"]
        return event


def _weights(templates: Sequence[str]) -> Any:
    """Return cumulated shares: the n-th has 1/n of the first's."""
    shares = np.cumsum(1 / np.arange(1, len(templates) + 1))
    return shares / shares[-1]


class _Taken:
    """Which templates, and the numbers of their rows."""

    def __init__(self, places: pa.Array, numbers: pa.Array) -> None:
        self.places = places
        self.numbers = numbers
        self.texts = numbers.cast(pa.string())


class _Struct:
    """An object of all templates."""

    def __init__(self, held: list[Any]) -> None:
        self.used = any(value is not None for value in held)
        self._missing = pa.array([value is None for value in held])
        keys = dict.fromkeys(key for value in held if value for key in value)
        self._fields = {key: _column(key, [value and value.get(key) for value in held]) for key in keys}

    def take(self, taken: _Taken) -> pa.StructArray:
        arrays = [column.take(taken) for column in self._fields.values()]
        return pa.StructArray.from_arrays(arrays, list(self._fields), mask=self._missing.take(taken.places))


class _Plain:
    def __init__(self, values: pa.Array) -> None:
        self._values = values

    def take(self, taken: _Taken) -> pa.Array:
        return self._values.take(taken.places)


class _Pid:
    def take(self, taken: _Taken) -> pa.Array:
        return pa.array(1_000 + taken.numbers.to_numpy() % 4_000_000)


class _Text:
    """Texts that hold their row's number, some of them."""

    def __init__(self, values: list[str | None]) -> None:
        parts = [(None, None) if value is None else tuple(value.split(NUMBER, 1)) for value in values]
        self._before = pa.array([part[0] for part in parts], pa.string())
        self._after = pa.array([part[1] if len(part) > 1 else None for part in parts], pa.string())

    def take(self, taken: _Taken) -> pa.Array:
        return _joined(self._before.take(taken.places), taken.texts, self._after.take(taken.places))


class _Labels:
    """Labels, as a map."""

    def __init__(self, values: list[dict[str, str] | None]) -> None:
        self._before, self._after = (pa.array([_parts(value, place) for value in values], _LABELS) for place in (0, 1))

    def take(self, taken: _Taken) -> pa.Array:
        before, after = self._before.take(taken.places), self._after.take(taken.places)
        lengths = np.diff(before.offsets.to_numpy())
        texts = taken.texts.take(pa.array(np.repeat(np.arange(len(before)), lengths)))
        items = _joined(before.items, texts, after.items)
        return pa.MapArray.from_arrays(before.offsets, before.keys, items)


def _parts(labels: dict[str, str] | None, place: int) -> list[tuple[str, str | None]]:
    return [(key, (*text.split(NUMBER, 1), None)[place]) for key, text in (labels or {}).items()]


def _column(key: str, values: list[Any]) -> Any:
    if key == "labels":
        return _Labels(values)
    if key == "pid":
        return _Pid()
    if any(isinstance(value, str) and NUMBER in value for value in values):
        return _Text(values)
    return _Plain(pa.array(values))


def _joined(before: pa.Array, numbers: pa.Array, after: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_valid(after), pc.binary_join_element_wise(before, numbers, after, ""), before)
