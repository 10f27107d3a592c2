"""The columns that an index asks for, out of a record batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import pyarrow as pa

from spyderresp.decision._batch import pick
from spyderresp.decision._event_reader import FIELD, IDENTITY, NAMESPACE_NAME
from spyderresp.decision._hash_tables import TextTable
from spyderresp.decision._index import DecisionIndex
from spyderresp.errors import EventError
from spyderresp.policies.vocabulary import SCOPES

# Arrow arrays as numbers: the addresses and sizes that native code reads them by.

#: A bitmap, of which there is none: every row has a value.
ALL: Final = (0, 0)
#: A column without a value.
ABSENT: Final[tuple[Any, ...]] = (None, (), None)
#: As of `decision._batch`.
_PICKED: Final = -16
_PICKED_OFTEN: Final = -17
#: Bytes at whose multiples buffers begin, as Arrow recommends.
_ALIGNED: Final = 64


class Memory:
    """Turns Arrow buffers into addresses for ``decision._batch``, and keeps the buffers alive."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def validity(self, column: Any) -> tuple[int, int] | None:
        """Return an array's bitmap; None for no array."""
        if column is None:
            return None
        return self.address(column.buffers()[0]), column.offset

    def address(self, buffer: Any) -> int:
        """Return where a buffer begins; 0 where there is none."""
        if buffer is None:
            return 0
        self.kept.append(buffer)
        return int(buffer.address)

    def texts(self, column: Any, path: str, levels: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a column of texts, plain or dictionary-encoded, as numbers."""
        self.kept.append(column)
        indices = None
        if pa.types.is_dictionary(column.type):
            valid, numbers = column.buffers()[:2]
            width = column.type.index_type.bit_width // 8
            if not pa.types.is_unsigned_integer(column.type.index_type):
                width = -width
            levels = (*levels, (self.address(valid), column.offset))
            indices = self.address(numbers), width, column.offset
            column = column.dictionary
            self.kept.append(column)
        if pa.types.is_null(column.type):
            return ABSENT
        if pa.types.is_string_view(column.type):
            column = _copied(column, path)
            self.kept.append(column)
        large = pa.types.is_large_string(column.type)
        if not large and not pa.types.is_string(column.type):
            raise EventError(path, f"must be a column of texts, not {column.type}")
        valid, offsets, data = column.buffers()
        texts = (
            self.address(offsets),
            large,
            self.address(data),
            0 if data is None else data.size,
            column.offset,
            len(column),
            (self.address(valid), column.offset),
        )
        return texts, levels, indices

    def picked(
        self, labels: Any, path: str, keys: Sequence[str], levels: tuple[Any, ...]
    ) -> dict[str, tuple[Any, ...]]:
        """Return the column of each label that is wanted, out of a column of maps."""
        offsets = labels.offsets
        names = self.texts(labels.keys, path, ())
        items = self.texts(labels.items, path, ())
        if names[0] is None:
            return {}
        where = self.address(offsets.buffers()[1]), offsets.offset
        rows, entries = len(labels), min(len(labels.keys), len(labels.items))
        wanted = TextTable(keys, range(len(keys)))
        made, row, what = pick(rows, where, self.validity(labels) or ALL, names, items, entries, wanted)
        if what:
            raise EventError(path, f"row {row}: {what}")
        width = _PICKED if items[2] is None else _PICKED_OFTEN
        columns = {}
        for key, picks in zip(keys, made, strict=True):
            columns[key] = (items[0], levels, (self.address(pa.py_buffer(picks)), width, 0))
        return columns


def field_place(struct: Any, key: str, path: str) -> int | None:
    """Return the place of a field in a type of structs; None where it is missing."""
    places = struct.get_all_field_indices(key)
    if len(places) > 1:
        raise EventError(path, "stands twice among the fields")
    return places[0] if places else None


def pieces(sizes: Mapping[str, int]) -> dict[str, pa.Buffer]:
    """Return buffers to be written, of so many bytes each.

    Of one piece: pieces of their own, and given back, would have the system clear far more memory.
    """
    ends = list(accumulate((-(-size // _ALIGNED) * _ALIGNED for size in sizes.values()), initial=0))
    whole = pa.allocate_buffer(ends[-1])
    return {name: whole.slice(start, size) for start, (name, size) in zip(ends, sizes.items(), strict=False)}


def _copied(column: Any, path: str) -> Any:
    """Return a column of string views as one of large strings.

    Raises:
        EventError: a view leads out of its data, or a text is not UTF-8.
    """
    valid, views, *data = column.buffers()
    if column.null_count:
        import pyarrow.compute as pc

        # The cast follows views of nulls too, and validation does not look at them.
        held = pa.Array.from_buffers(pa.binary(16), len(column), [valid, views], offset=column.offset)
        nothing = pa.Array.from_buffers(pa.binary(16), 1, [None, pa.py_buffer(bytes(16))])[0]
        views = pc.fill_null(held, nothing).buffers()[1]
        valid = pc.is_valid(held).buffers()[1]
        column = pa.Array.from_buffers(column.type, len(column), [valid, views, *data])
    try:
        column.validate(full=True)
        return column.cast(pa.large_string())
    except pa.ArrowException as error:
        raise EventError(path, f"is a damaged column: {str(error).splitlines()[0]}") from None


class Columns(Memory):
    """The columns of one batch that an index asks for, as numbers. Keeps alive what they lead to."""

    def __init__(self, index: DecisionIndex, batch: pa.RecordBatch) -> None:
        super().__init__()
        self._index = index
        self._batch = batch
        for name in ("id", "time"):
            self._column(name)
        identity = dict(IDENTITY)
        for scope in SCOPES:
            held = self._column(scope)
            for key in identity.get(scope, ()) if held is not None and pa.types.is_struct(held.type) else ():
                field_place(held.type, key, f"{scope}.{key}")
        self._structs = {scope: self._struct(scope) for scope in SCOPES if self._checked(scope)}
        self._labels: dict[str, dict[str, tuple[Any, ...]]] = {}
        self.scopes = [self.validity(self._structs.get(scope)) for scope in SCOPES]
        self.attributes = [self._attribute(*attribute) for attribute in index.reader.attributes]
        for name in ("policy_uid", "policy_name"):
            column = self._column(name)
            self.attributes.append((ABSENT if column is None else self.texts(column, name, ()),))

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

    def _attribute(self, scope: int, key: str, kind: int) -> tuple[tuple[Any, ...], ...]:
        name = SCOPES[scope]
        struct = self._structs[name]
        if struct is None:
            return (ABSENT,)
        levels = (self.validity(struct) or ALL,)
        if kind == FIELD:
            return (self._field(struct, key, f"{name}.{key}", levels),)
        label = self._label(name, struct, key, levels)
        if kind == NAMESPACE_NAME:
            return label, self._field(struct, "name", f"{name}.name", levels)
        return (label,)

    def _field(self, struct: Any, key: str, path: str, levels: tuple[Any, ...]) -> tuple[Any, ...]:
        place = field_place(struct.type, key, path)
        return ABSENT if place is None else self.texts(struct.field(place), path, levels)

    def _label(self, scope: str, struct: Any, key: str, levels: tuple[Any, ...]) -> tuple[Any, ...]:
        if scope not in self._labels:
            self._labels[scope] = self._all_labels(scope, struct, levels)
        return self._labels[scope].get(key, ABSENT)

    def _all_labels(self, scope: str, struct: Any, levels: tuple[Any, ...]) -> dict[str, tuple[Any, ...]]:
        """Return the column of each label that the policies name."""
        path = f"{scope}.labels"
        place = field_place(struct.type, "labels", path)
        labels = None if place is None else struct.field(place)
        if labels is None or pa.types.is_null(labels.type):
            return {}
        own = SCOPES.index(scope)
        keys = [key for where, key, kind in self._index.reader.attributes if where == own and kind != FIELD]
        levels = (*levels, self.validity(labels))
        if pa.types.is_struct(labels.type):
            return {key: self._field(labels, key, f"{path}.{key}", levels) for key in keys}
        if pa.types.is_map(labels.type):
            return self.picked(labels, path, keys, levels)
        raise EventError(path, f"must be a column of maps or structs, not {labels.type}")
