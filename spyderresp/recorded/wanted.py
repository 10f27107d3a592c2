"""Which columns of a table are looked at: those that policies name, and those that whoever reads asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from spyderresp.policy import PolicySet
from spyderresp.vocabulary import LABEL_SCOPES, NAMESPACE_NAME_LABEL, SCOPES

_LABELS: Final = "labels"
#: Whether an event has these decides what applies to it, whatever the policies name.
_TOLD: Final = ("process", "pod")


@dataclass(frozen=True)
class Wanted:
    """What is looked at.

    Attributes:
        own: names of columns that are no scopes.
        fields: keys of each scope.
        labels: keys of labels of each scope.
        instead: by a path, those that are looked at where it has no value.
    """

    own: tuple[str, ...]
    fields: Mapping[str, frozenset[str]]
    labels: Mapping[str, frozenset[str]]
    instead: Mapping[str, tuple[str, ...]]

    def paths(self, schema: pa.Schema, never_null: Callable[[str], bool]) -> list[str]:
        """Return the paths of the columns to read, of a scope at least one: any of them tells whether it is there.

        Args:
            schema: that of the table.
            never_null: whether the column of a path is known to have a value in every row.
        """
        fields = defaultdict(set, {scope: set(keys) for scope, keys in self.fields.items()})
        for path, others in self.instead.items():
            for other in () if never_null(path) else others:
                scope, _, key = other.partition(".")
                fields[scope].add(key)
        return self._paths(schema, fields)

    def _paths(self, schema: pa.Schema, fields: Mapping[str, set[str]]) -> list[str]:
        found = [name for name in self.own if name in schema.names]
        for scope in SCOPES:
            places = schema.get_all_field_indices(scope)
            if not places or not (fields.get(scope) or self.labels.get(scope) or scope in _TOLD):
                continue
            kind = schema.types[places[0]]
            if len(places) == 1 and pa.types.is_struct(kind):
                found += self._of_scope(scope, kind, fields.get(scope, set()))
            else:
                found.append(scope)
        return found

    def _of_scope(self, scope: str, kind: pa.DataType, fields: set[str]) -> list[str]:
        found = []
        for field in kind:
            path = f"{scope}.{field.name}"
            if field.name == _LABELS and scope in LABEL_SCOPES:
                keys = self.labels.get(scope, frozenset())
                if pa.types.is_struct(field.type):
                    found += [f"{path}.{inner.name}" for inner in field.type if inner.name in keys]
                elif keys:
                    found.append(path)
            elif field.name in fields:
                found.append(path)
        if found:
            return found
        flat = [field.name for field in kind if not pa.types.is_nested(field.type)]
        return [f"{scope}.{flat[0]}"] if flat else [scope]


def wanted(
    policies: Iterable[PolicySet],
    own: Iterable[str],
    whom: Iterable[str],
    instead: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> Wanted:
    """Return what of events is looked at.

    Args:
        policies: what decides.
        own: columns that are read beside what attributes an event.
        whom: paths that are read of whom an event is about, such as ``pod.name``.
        instead: by a path, those that are read where it has no value.
    """
    fields: dict[str, set[str]] = defaultdict(set)
    labels: dict[str, set[str]] = defaultdict(set)
    for path in whom:
        scope, _, key = path.partition(".")
        fields[scope].add(key)
    for held in policies:
        for scope, keys in held.named.items():
            (labels if scope in LABEL_SCOPES else fields)[scope].update(keys)
    # A namespace's name and the label that it implies stand for each other.
    if NAMESPACE_NAME_LABEL in labels["namespace"] or "name" in fields["namespace"]:
        labels["namespace"].add(NAMESPACE_NAME_LABEL)
        fields["namespace"].add("name")
    return Wanted(
        (*own, "policy_uid", "policy_name"),
        {scope: frozenset(keys) for scope, keys in fields.items()},
        {scope: frozenset(keys) for scope, keys in labels.items()},
        instead,
    )
