"""Events as Arrow tables, for the batch path."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from peers.named import LABELLED, attributes

from spyderresp.policies.policy_set import PolicySet

_INTEGERS = ("pid", "ppid")
_PLAIN = ("id", "policy_uid", "policy_name")


def table(events: list[dict[str, Any]], policies: PolicySet, *, encoded: bool) -> pa.Table:
    """Return events as a table of struct columns.

    Args:
        events: in the normal form.
        policies: they say which columns a dictionary pays for: those that they name.
        encoded: make those columns dictionaries; else every text is plain.
    """
    named = set(attributes(policies)) if encoded else set()
    columns: dict[str, Any] = {"id": pa.array([str(event["id"]) for event in events])}
    for scope in ("cluster", "machine", "namespace", "pod", "container", "service", "process"):
        held = [event.get(scope) for event in events]
        if any(value is not None for value in held):
            columns[scope] = _struct(held, {key for name, key in named if name == scope}, labelled=scope in LABELLED)
    return pa.table(columns)


def _struct(held: list[Any], named: set[str], *, labelled: bool) -> pa.StructArray:
    keys = dict.fromkeys(key for value in held if value for key in value if key not in ("labels", "args"))
    own = set() if labelled else named
    arrays = [_column([value and value.get(key) for value in held], key, encoded=key in own) for key in keys]
    names = list(keys)
    if labelled:
        labels = [value and value.get("labels") for value in held]
        arrays.append(_struct(labels, named, labelled=False))
        names.append("labels")
    missing = pa.array([value is None for value in held])
    return pa.StructArray.from_arrays(arrays, names, mask=missing)


def _column(values: list[Any], key: str, *, encoded: bool) -> pa.Array:
    if key in _INTEGERS:
        return pa.array(values, pa.int64())
    texts = pa.array(values, pa.string())
    return texts.dictionary_encode() if encoded else texts


def leaves(batch: pa.Table, policies: PolicySet) -> list[pa.ChunkedArray]:
    """Return the columns that policies name, out of a table of plain texts."""
    found = []
    for scope, key in attributes(policies):
        if scope not in batch.column_names:
            continue
        path = [scope, "labels", key] if scope in LABELLED else [scope, key]
        column = batch.column(scope)
        for step in path[1:]:
            names = [field.name for field in column.type.fields] if hasattr(column.type, "fields") else []
            if step not in names:
                break
            chunks = [chunk.field(step) for chunk in column.chunks]
            column = pa.chunked_array(chunks, type=chunks[0].type)
        else:
            found.append(column)
    return found
