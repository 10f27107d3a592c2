"""The columns that an index asks for, out of a record batch."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from spyderresp.arrow.memory import ABSENT, ALL, Memory, field_place
from spyderresp.decision._event_reader import FIELD, NAMESPACE_NAME
from spyderresp.decision._index import DecisionIndex
from spyderresp.errors import EventError
from spyderresp.vocabulary import SCOPES


class Columns(Memory):
    """The columns of one batch that an index asks for, as numbers. Keeps alive what they lead to."""

    def __init__(self, index: DecisionIndex, batch: pa.RecordBatch) -> None:
        super().__init__()
        self._index = index
        self._batch = batch
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
