"""What the rows of a record batch say of their events: whom they are about, id, time, attribution."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from spyderresp.arrow.memory import Memory, field_place
from spyderresp.decision._batch import DOUBLE, FLOAT, INTEGER, TEXT, TargetColumns
from spyderresp.decision._event_reader import IDENTITY
from spyderresp.errors import EventError

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
            cells.append(None if column is None else _cell(memory, column, ()))
    except (EventError, _UnreadError):
        return None
    return TargetColumns(cells, name, memory.kept)


class _UnreadError(Exception):
    """A type is none that is read natively."""


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
