"""Arrow columns in, columns out: what ``Engine.evaluate_batch`` does. The only importer of pyarrow.

The columns are those of the normal form: a struct each of cluster, machine, namespace, pod, container, service and
process; labels as map or struct; policy_uid, policy_name, id and time beside them. Null is absence, and so is a column
that is missing. What is decided where is ``_native.batch``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import pyarrow as pa

from spyderresp._native.actions import ActionColumns
from spyderresp._native.batch import Batch
from spyderresp._native.columns import pick
from spyderresp._native.index import DecisionIndex
from spyderresp._native.plan import ActionPlan, PlanShape
from spyderresp._native.reader import FIELD, NAMESPACE_NAME
from spyderresp._native.text import TextTable
from spyderresp.errors import EventError
from spyderresp.vocabulary import FLAG_TEXTS, SCOPES

_EVENT: Final = ("id", "time", "policy_uid", "policy_name", *SCOPES)
#: Columns of a table whose words are the same for every policy set, those whose words are not, and numbers.
_NARROW: Final = ("action", "severity", "section", "disposition", "priority")
_WORDED: Final = ("policy", *FLAG_TEXTS)
_NULLABLE: Final = ("severity", *FLAG_TEXTS, "priority")
_PARAMETERS: Final = ("severity", *FLAG_TEXTS, "priority")
_WIDE: Final = (*_WORDED, "index", "sources")
_ALL: Final = (0, 0)
_ABSENT: Final[tuple[Any, ...]] = (None, (), None)
_PICKED: Final = -16


def evaluate_batch(index: DecisionIndex, data: Any) -> BatchResult:
    """Decide every row of a RecordBatch, a Table, a reader, or whatever exports one of them by Arrow's C interface.

    Raises:
        EventError: a column that is checked has the wrong type, or holds what is no text.
        TypeError: ``data`` is none of these.
    """
    kept: _Kept | None = index.batching
    if kept is None:
        kept = index.batching = _Kept.of(index)
    decided = Batch(index, kept.columns, kept.idle)
    batches = []
    for batch in _batches(data):
        batch.validate()
        columns = _Columns(index, batch)
        fault = decided.add(batch.num_rows, columns.attributes, columns.scopes)
        if fault is not None:
            place, row, what = fault
            raise EventError(columns.path(place), f"row {row}: {what}")
        batches.append(batch)
    decided.complete()
    return BatchResult(decided, kept, batches)


@dataclass(frozen=True)
class _Kept:
    """What the batches of one index have in common: made once, at the first of them."""

    columns: ActionColumns
    words: dict[str, pa.Array]
    idle: list[Any]

    @classmethod
    def of(cls, index: DecisionIndex) -> _Kept:
        columns = ActionColumns(index.arranger)
        return cls(columns, {name: pa.array(words, pa.string()) for name, words in columns.words.items()}, [])


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


class _Columns:
    """The columns of one batch that an index asks for, as numbers. Keeps alive what they lead to."""

    def __init__(self, index: DecisionIndex, batch: pa.RecordBatch) -> None:
        self._index = index
        self._batch = batch
        self._kept: list[Any] = []
        self._structs = {scope: self._struct(scope) for scope in SCOPES if self._checked(scope)}
        self._labels: dict[str, dict[str, tuple[Any, ...]]] = {}
        self.scopes = [self._validity(self._structs.get(scope)) for scope in SCOPES]
        self.attributes = [self._attribute(*attribute) for attribute in index.reader.attributes]
        for name in ("policy_uid", "policy_name"):
            column = self._column(name)
            self.attributes.append((_ABSENT if column is None else self._texts(column, name, ()),))

    def path(self, place: int) -> str:
        """Return how an event's error names a column."""
        attributes = self._index.reader.attributes
        if place >= len(attributes):
            return ("policy_uid", "policy_name")[place - len(attributes)]
        scope, key, kind = attributes[place]
        return f"{SCOPES[scope]}.{key}" if kind == FIELD else f"{SCOPES[scope]}.labels.{key}"

    def _checked(self, scope: str) -> bool:
        place = SCOPES.index(scope)
        return scope in ("process", "pod") or any(where == place for where, _, _ in self._index.reader.attributes)

    def _column(self, name: str) -> Any:
        places = self._batch.schema.get_all_field_indices(name)
        if len(places) > 1:
            raise EventError(name, "stands twice among the columns")
        return self._batch.column(places[0]) if places else None

    def _struct(self, name: str) -> Any:
        column = self._column(name)
        if column is None or pa.types.is_null(column.type):
            return None
        if not pa.types.is_struct(column.type):
            raise EventError(name, f"must be a column of structs, not {column.type}")
        return column

    def _validity(self, column: Any) -> tuple[int, int] | None:
        if column is None:
            return None
        return self._address(column.buffers()[0]), column.offset

    def _address(self, buffer: Any) -> int:
        if buffer is None:
            return 0
        self._kept.append(buffer)
        return int(buffer.address)

    def _attribute(self, scope: int, key: str, kind: int) -> tuple[tuple[Any, ...], ...]:
        name = SCOPES[scope]
        struct = self._structs[name]
        if struct is None:
            return (_ABSENT,)
        levels = (self._validity(struct) or _ALL,)
        if kind == FIELD:
            return (self._field(struct, key, f"{name}.{key}", levels),)
        label = self._label(name, struct, key, levels)
        if kind == NAMESPACE_NAME:
            return label, self._field(struct, "name", f"{name}.name", levels)
        return (label,)

    def _field(self, struct: Any, key: str, path: str, levels: tuple[Any, ...]) -> tuple[Any, ...]:
        place = _field_place(struct.type, key, path)
        return _ABSENT if place is None else self._texts(struct.field(place), path, levels)

    def _label(self, scope: str, struct: Any, key: str, levels: tuple[Any, ...]) -> tuple[Any, ...]:
        if scope not in self._labels:
            self._labels[scope] = self._all_labels(scope, struct, levels)
        return self._labels[scope].get(key, _ABSENT)

    def _all_labels(self, scope: str, struct: Any, levels: tuple[Any, ...]) -> dict[str, tuple[Any, ...]]:
        """Return the column of each label that the policies name."""
        path = f"{scope}.labels"
        place = _field_place(struct.type, "labels", path)
        labels = None if place is None else struct.field(place)
        if labels is None or pa.types.is_null(labels.type):
            return {}
        own = SCOPES.index(scope)
        keys = [key for where, key, kind in self._index.reader.attributes if where == own and kind != FIELD]
        levels = (*levels, self._validity(labels))
        if pa.types.is_struct(labels.type):
            return {key: self._field(labels, key, f"{path}.{key}", levels) for key in keys}
        if pa.types.is_map(labels.type):
            return self._picked(labels, path, keys, levels)
        raise EventError(path, f"must be a column of maps or structs, not {labels.type}")

    def _picked(
        self, labels: Any, path: str, keys: Sequence[str], levels: tuple[Any, ...]
    ) -> dict[str, tuple[Any, ...]]:
        offsets = labels.offsets
        names, _, index = self._texts(_plain(labels.keys), path, ())
        items, _, _ = self._texts(_plain(labels.items), path, ())
        if names is None or index is not None:
            return {}
        where = self._address(offsets.buffers()[1]), offsets.offset
        rows = len(labels)
        made, row, what = pick(rows, where, self._validity(labels) or _ALL, names, TextTable(keys, range(len(keys))))
        if what:
            raise EventError(path, f"row {row}: {what}")
        columns = {}
        for key, picks in zip(keys, made, strict=True):
            columns[key] = (items, levels, (self._address(pa.py_buffer(picks)), _PICKED, 0))
        return columns

    def _texts(self, column: Any, path: str, levels: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a column of texts, plain or dictionary-encoded, as numbers."""
        self._kept.append(column)
        indices = None
        if pa.types.is_dictionary(column.type):
            valid, numbers = column.buffers()[:2]
            width = column.type.index_type.bit_width // 8
            if not pa.types.is_unsigned_integer(column.type.index_type):
                width = -width
            levels = (*levels, (self._address(valid), column.offset))
            indices = self._address(numbers), width, column.offset
            column = column.dictionary
            self._kept.append(column)
        if pa.types.is_null(column.type):
            return _ABSENT
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())
            self._kept.append(column)
        large = pa.types.is_large_string(column.type)
        if not large and not pa.types.is_string(column.type):
            raise EventError(path, f"must be a column of texts, not {column.type}")
        valid, offsets, data = column.buffers()
        texts = (
            self._address(offsets),
            large,
            self._address(data),
            0 if data is None else data.size,
            column.offset,
            len(column),
            (self._address(valid), column.offset),
        )
        return texts, levels, indices


def _field_place(struct: Any, key: str, path: str) -> int | None:
    places = struct.get_all_field_indices(key)
    if len(places) > 1:
        raise EventError(path, "stands twice among the fields")
    return places[0] if places else None


def _plain(column: Any) -> Any:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


class BatchResult(Sequence[ActionPlan]):
    """What to do about each row of a batch. Immutable.

    ``result[i]`` is the plan of row i, as ``evaluate`` gives it; ``table`` holds every planned action of every row.
    """

    def __init__(self, decided: Batch, kept: _Kept, batches: Sequence[pa.RecordBatch]) -> None:
        self._decided = decided
        self._words = kept.words
        self._batches = batches
        self._shapes: dict[int, tuple[PlanShape, int]] = {}

    def __len__(self) -> int:
        return self._decided.rows

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        place = row + len(self) if row < 0 else row
        if not 0 <= place < len(self):
            raise IndexError("row out of range")
        outcome = self._decided.outcome(place)
        if outcome not in self._shapes:
            self._shapes[outcome] = self._decided.shape(outcome)
        shape, group = self._shapes[outcome]
        return self._decided.index.plan_of(self._event(place), shape, group)

    def __iter__(self) -> Iterator[ActionPlan]:
        return (self[row] for row in range(len(self)))

    def _event(self, row: int) -> dict[str, Any]:
        """Return what a row says of its event, as the mapping that ``evaluate`` takes."""
        for batch in self._batches:
            if row < batch.num_rows:
                break
            row -= batch.num_rows
        event: dict[str, Any] = {}
        for name in _EVENT:
            places = batch.schema.get_all_field_indices(name)
            if places:
                event[name] = batch.column(places[0]).slice(row, 1).to_pylist()[0]
        for scope in SCOPES:
            held = event.get(scope)
            if isinstance(held, dict) and isinstance(held.get("labels"), list):
                held["labels"] = dict(held["labels"])
        return event

    @cached_property
    def table(self) -> pa.Table:
        """One row for each planned action, by event and in the plan's order.

        Columns: ``row`` of the event; ``action``; ``parameters``, a struct; ``disposition``; ``policy``, ``section``
        and ``index`` of its first source; ``sources``, how many there are.
        """
        count = self._decided.count_actions()
        # Columns of texts without a word are all null.
        empty = [name for name in _WORDED if not len(self._words[name])]
        data = {"row": pa.allocate_buffer(8 * count), "told": pa.allocate_buffer(count)}
        data |= {name: pa.allocate_buffer(count) for name in _NARROW}
        data |= {name: pa.allocate_buffer(4 * count) for name in _WIDE if name not in empty}
        valid = {name: pa.allocate_buffer((count + 7) // 8) for name in _NULLABLE if name not in empty}
        where = {name: buffer.address for name, buffer in data.items()}
        self._decided.write_actions(
            {**dict.fromkeys(empty, 0), **where, "valid": {name: valid[name].address for name in valid}}
        )

        def column(name: str) -> pa.Array:
            kind = pa.int8() if name in _NARROW else pa.int32()
            if name in empty:
                made = pa.nulls(count, kind)
            else:
                made = pa.Array.from_buffers(kind, count, [valid.get(name), data[name]])
            if name not in self._words:
                return made
            # Its places are not looked through: they are right as they were made.
            return pa.DictionaryArray.from_arrays(made, self._words[name], safe=False)

        return pa.table(
            {
                "row": pa.Array.from_buffers(pa.int64(), count, [None, data["row"]]),
                "action": column("action"),
                "parameters": pa.StructArray.from_arrays([column(name) for name in _PARAMETERS], list(_PARAMETERS)),
                **{name: column(name) for name in ("disposition", "policy", "section", "index", "sources")},
            }
        )
