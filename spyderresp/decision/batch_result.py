"""Arrow columns in, columns out: what ``Engine.evaluate_batch`` does. No other module of the core imports pyarrow.

The columns are those of the normal form: a struct each of cluster, machine, namespace, pod, container, service and
process; labels as map or struct; policy_uid, policy_name, id and time beside them. Null is absence, and so is a column
that is missing. What is decided where is ``decision._batch``.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import index as integer
from typing import Any, Final

import pyarrow as pa

from spyderresp.decision._batch import (
    DOUBLE,
    FLOAT,
    INTEGER,
    NULLABLE,
    TEXT,
    ActionColumns,
    Batch,
    BatchWorker,
    TargetColumns,
)
from spyderresp.decision._event_reader import IDENTITY
from spyderresp.decision._index import DecisionIndex
from spyderresp.decision._plan import ActionPlan, PlanShape
from spyderresp.decision.arrow_columns import Columns, Memory, field_place, pieces
from spyderresp.errors import EventError, SpyderrespError
from spyderresp.events.timestamps import epoch_seconds_of
from spyderresp.policies.vocabulary import FLAG_TEXTS, SCOPES

# Columns of a record batch that describe the event itself: target, id, time and attribution.

_OWN: Final = ("id", "time", "policy_uid", "policy_name")
_NAME_LABEL: Final = "kubernetes.io/metadata.name"


def row_cells(batch: pa.RecordBatch) -> TargetColumns | None:
    """Return the cells of a batch's rows; None where a type is none that is read natively."""
    memory = Memory()
    cells: list[Any] = []
    name = None
    try:
        for scope, keys in IDENTITY:
            struct = _column(batch, scope)
            if struct is None or pa.types.is_null(struct.type):
                cells += [None] * len(keys)
                continue
            if not pa.types.is_struct(struct.type):
                return None
            cells += [_field(memory, struct, key, ()) for key in keys]
            if scope == "namespace":
                name = _name_label(memory, struct)
        for key in _OWN:
            column = _column(batch, key)
            if column is not None and key == "time":
                column = _times(column)
            cells.append(None if column is None else _cell(memory, column, ()))
    except _UnreadError:
        return None
    return TargetColumns(cells, name, memory.kept)


class _UnreadError(SpyderrespError):
    """A type is none that is read natively."""


def _times(column: pa.Array) -> pa.Array:
    """Return a column of times with timestamps as epoch seconds."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_timestamp(kind):
        return epoch_seconds_of(column)
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        # No time that can be read: the plan must say so, not that there is none.
        raise _UnreadError
    return column


def _column(batch: pa.RecordBatch, name: str) -> Any:
    places = batch.schema.get_all_field_indices(name)
    return batch.column(places[0]) if places else None


def _field(memory: Memory, struct: Any, key: str, levels: tuple[Any, ...]) -> Any:
    place = field_place(struct.type, key, key)
    return None if place is None else _cell(memory, struct.field(place), (*levels, memory.validity(struct)))


def _name_label(memory: Memory, struct: Any) -> Any:
    place = field_place(struct.type, "labels", "labels")
    labels = None if place is None else struct.field(place)
    if labels is None or pa.types.is_null(labels.type):
        return None
    levels = (memory.validity(struct),)
    if pa.types.is_struct(labels.type):
        return _field(memory, labels, _NAME_LABEL, levels)
    if not pa.types.is_map(labels.type):
        raise _UnreadError
    picked = memory.picked(labels, "labels", [_NAME_LABEL], (*levels, memory.validity(labels)))
    return (TEXT, picked[_NAME_LABEL]) if picked else None


def _cell(memory: Memory, column: Any, levels: tuple[Any, ...]) -> Any:
    kind = column.type
    held = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(held) or pa.types.is_large_string(held) or pa.types.is_string_view(held):
        return TEXT, memory.texts(column, "", levels)
    # What no target keeps, whatever it is.
    if held is not kind:
        raise _UnreadError
    if pa.types.is_null(kind) or pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return None
    code = {pa.float64(): DOUBLE, pa.float32(): FLOAT}.get(kind, INTEGER)
    if code == INTEGER and not pa.types.is_integer(kind):
        raise _UnreadError
    width = kind.bit_width // 8 if pa.types.is_unsigned_integer(kind) else -kind.bit_width // 8
    valid, data = column.buffers()
    memory.kept.append(column)
    return code, (None, (*levels, (memory.address(valid), column.offset)), (memory.address(data), width, column.offset))


# What a batch comes to: a plan a row, and a table of all actions.

_EVENT: Final = ("id", "time", "policy_uid", "policy_name", *SCOPES)
#: Columns of a table: of a byte a place, as their words or numbers are few; and those of four.
_NARROW: Final = ("action", "severity", "section", "disposition", "priority")
_WORDED: Final = ("policy", *FLAG_TEXTS)
_WIDE: Final = (*_WORDED, "index", "sources")
_PARAMETERS: Final = ("severity", *FLAG_TEXTS, "priority")
#: The most shapes that a memo keeps.
_MOST_SHAPES: Final = 1_000_000


@dataclass(frozen=True)
class BatchContext:
    """What the batches of one index have in common: made once, at the first of them."""

    columns: ActionColumns
    words: dict[str, pa.Array]
    idle: list[BatchWorker]

    @property
    def memory(self) -> int:
        """Bytes, without the workers that are busy."""
        words = sum(column.nbytes for column in self.words.values())
        return int(words) + self.columns.memory + sum(worker.memory for worker in self.idle)

    @classmethod
    def of(cls, index: DecisionIndex) -> BatchContext:
        """Return the context for batches that this index decides."""
        columns = ActionColumns(index.plan_builder)
        return cls(columns, {name: _texts(words) for name, words in columns.words.items()}, [])


def _texts(words: Sequence[str]) -> pa.Array:
    """Return texts as a column. Of buffers: ``pa.array`` imports pandas, where it is installed, to look at them."""
    data = [word.encode() for word in words]
    ends = array("i", accumulate(map(len, data), initial=0))
    return pa.Array.from_buffers(pa.string(), len(data), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(data))])


class BatchResult(Sequence[ActionPlan]):
    """What to do about each row of a batch. Immutable.

    ``result[i]`` is the plan of row i, as ``evaluate`` gives it; ``table`` holds every planned action of every row.

    Raises:
        EventError: by ``result[i]`` and by iteration: the row's target cannot be read. An iterator goes on.
        IndexError: by ``result[i]``: there is no such row.
    """

    def __init__(self, decided: Batch, kept: BatchContext, batches: Sequence[pa.RecordBatch]) -> None:
        self._decided = decided
        self.kept = kept
        self._batches = batches
        self._starts = list(accumulate((batch.num_rows for batch in batches), initial=0))
        self._cells: dict[int, TargetColumns | None] = {}

    @property
    def decided(self) -> Batch:
        """What was decided, for native code to write out. Internal."""
        return self._decided

    def __len__(self) -> int:
        return self._decided.rows

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        place = integer(row)
        if place < 0:
            place += self._starts[-1]
        if not 0 <= place < self._starts[-1]:
            raise IndexError("row out of range")
        return self._plan(place, bisect_right(self._starts, place) - 1)

    def __iter__(self) -> Iterator[ActionPlan]:
        # No generator: that would end at the first row whose plan cannot be made.
        return map(self.__getitem__, range(len(self)))

    def _plan(self, row: int, number: int) -> ActionPlan:
        """Return the plan of a row, which is in that batch."""
        place = row - self._starts[number]
        try:
            if number not in self._cells:
                self._cells[number] = row_cells(self._batches[number])
            cells = self._cells[number]
            if cells is None:
                return self._decided.plan_of(row, self._event(self._batches[number], place))
            return self._decided.plan(row, cells, place)
        except UnicodeDecodeError:
            raise EventError("", f"row {row}: a text is not valid UTF-8") from None
        except (pa.ArrowException, ValueError) as error:
            raise EventError("", f"row {row}: {str(error).splitlines()[0]}") from None

    def _event(self, batch: pa.RecordBatch, row: int) -> dict[str, Any]:
        """Return what a row says of its event, as the mapping that ``evaluate`` takes."""
        event: dict[str, Any] = {}
        for name in _EVENT:
            places = batch.schema.get_all_field_indices(name)
            if places:
                column = batch.column(places[0]).slice(row, 1)
                column.validate(full=True)
                if name == "time" and pa.types.is_timestamp(column.type):
                    column = epoch_seconds_of(column)
                event[name] = column.to_pylist()[0]
        for scope in SCOPES:
            held = event.get(scope)
            if isinstance(held, dict) and isinstance(held.get("labels"), list):
                held["labels"] = dict(held["labels"])
        return event

    @cached_property
    def outcomes(self) -> pa.Array:
        """The number of each row's outcome, as int32: rows of one number have the same policies and actions."""
        return pa.Array.from_buffers(pa.int32(), len(self), [None, pa.py_buffer(self._decided.outcomes())])

    @cached_property
    def shapes(self) -> list[PlanShape]:
        """What the plans of each outcome share, by its number."""
        return [self._decided.outcome_shape(number) for number in range(self._decided.outcome_count)]

    @cached_property
    def table(self) -> pa.Table:
        """One row for each planned action, by event and in the plan's order.

        Columns: ``row`` of the event; ``action``; ``parameters``, a struct; ``disposition``; ``policy``, ``section``
        and ``index`` of its first source; ``sources``, how many there are.
        """
        count = self._decided.count_actions()
        # Text columns without a word are all null. They share memory that is never written.
        empty = {name for name in _WORDED if not len(self.kept.words[name])}
        nothing = pa.py_buffer(bytes(4 * count if empty else 0))
        sizes = {"row": 8 * count, **dict.fromkeys(_NARROW, count)}
        sizes |= {name: 4 * count for name in _WIDE if name not in empty}
        sizes |= {f"valid {name}": (count + 7) // 8 for name in NULLABLE if name not in empty}
        data = pieces(sizes)
        self._decided.write_actions({name: buffer.address for name, buffer in data.items()})
        data |= {name: nothing for key in empty for name in (key, f"valid {key}")}

        def column(name: str) -> pa.Array:
            kind = pa.int8() if name in _NARROW else pa.int32()
            made = pa.Array.from_buffers(kind, count, [data.get(f"valid {name}"), data[name]])
            if name not in self.kept.words:
                return made
            # Its places are not looked through: they are right as they were made.
            return pa.DictionaryArray.from_arrays(made, self.kept.words[name], safe=False)

        return pa.table(
            {
                "row": pa.Array.from_buffers(pa.int64(), count, [None, data["row"]]),
                "action": column("action"),
                "parameters": pa.StructArray.from_arrays([column(name) for name in _PARAMETERS], list(_PARAMETERS)),
                **{name: column(name) for name in ("disposition", "policy", "section", "index", "sources")},
            }
        )


class ShapeMemo:
    """The shapes of the plans of many batches: the same object for the same shape, as long as one index decides."""

    def __init__(self) -> None:
        self._index: DecisionIndex | None = None
        self._known: dict[bytes, PlanShape] = {}

    def shapes(self, result: BatchResult) -> list[PlanShape]:
        """Return ``result.shapes``."""
        decided, known = result.decided, self._known
        if decided.index is not self._index or len(known) > _MOST_SHAPES:
            known.clear()
            self._index = decided.index
        keys = decided.outcome_keys()
        for number, key in enumerate(keys):
            if key not in known:
                known[key] = decided.outcome_shape(number)
        return [known[key] for key in keys]


__all__ = ["BatchResult", "ShapeMemo", "evaluate_batch"]


def evaluate_batch(index: DecisionIndex, data: Any) -> BatchResult:
    """Decide every row of a RecordBatch, a Table, a reader, or whatever exports one of them by Arrow's C interface.

    Raises:
        EventError: a column that is checked has the wrong type, or holds what is no text.
        TypeError: ``data`` is none of these.
    """
    kept: BatchContext | None = index.batching
    if kept is None:
        kept = index.batching = BatchContext.of(index)
    decided = Batch(index, kept.columns, kept.idle)
    batches = []
    for batch in _batches(data):
        try:
            batch.validate()
        except pa.ArrowInvalid as error:
            raise EventError("", f"is a damaged batch: {str(error).splitlines()[0]}") from None
        columns = Columns(index, batch)
        fault = decided.add(batch.num_rows, columns.attributes, columns.scopes)
        if fault is not None:
            place, row, what = fault
            raise EventError(columns.path(place), f"row {row}: {what}")
        batches.append(batch)
    decided.complete()
    return BatchResult(decided, kept, batches)


def _batches(data: Any) -> Iterable[pa.RecordBatch]:
    batches: Iterable[pa.RecordBatch]
    if isinstance(data, pa.RecordBatch):
        batches = [data]
    elif isinstance(data, pa.Table):
        batches = data.to_batches()
    elif isinstance(data, pa.RecordBatchReader):
        batches = data
    elif hasattr(data, "__arrow_c_stream__"):
        batches = pa.RecordBatchReader.from_stream(data)
    elif hasattr(data, "__arrow_c_array__"):
        batches = [pa.record_batch(data)]
    else:
        raise TypeError("evaluate_batch() takes a pyarrow RecordBatch, Table or RecordBatchReader")
    return batches
