"""Events as record batches."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from spyderresp.policies.vocabulary import FIELDS, LABEL_SCOPES

TEXT = pa.string()
MORE = {"namespace": ("name",), "pod": ("name", "uid", "kuid"), "process": ("uid",)}


def schema(events: list[dict[str, Any]], *, maps: bool) -> pa.Schema:
    fields = [pa.field(name, TEXT) for name in ("id", "policy_uid", "policy_name")]
    for scope, keys in FIELDS.items():
        held = [pa.field(key, TEXT) for key in (*keys, *MORE.get(scope, ()))]
        if scope in LABEL_SCOPES:
            labels = {key for event in events for key in ((event.get(scope) or {}).get("labels") or {})}
            kind = pa.map_(TEXT, TEXT) if maps else pa.struct([pa.field(key, TEXT) for key in sorted(labels)])
            held.append(pa.field("labels", kind))
        fields.append(pa.field(scope, pa.struct(held)))
    return pa.schema(fields)


def is_text(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_text(key) and is_text(item) for key, item in value.items())
    if isinstance(value, str):
        return not any("\ud800" <= char <= "\udfff" for char in value)
    return value is None


def columns(event: dict[str, Any]) -> dict[str, Any]:
    """Return what the columns say of an event."""
    said: dict[str, Any] = {key: event.get(key) for key in ("id", "policy_uid", "policy_name")}
    for scope, keys in FIELDS.items():
        held = event.get(scope)
        if held is None:
            said[scope] = None
            continue
        said[scope] = {key: held.get(key) for key in (*keys, *MORE.get(scope, ()))}
        if scope in LABEL_SCOPES:
            said[scope]["labels"] = held.get("labels")
    return said


def batch(said: list[dict[str, Any]], *, maps: bool) -> pa.RecordBatch:
    """Return events, as ``columns`` gives them, with their labels as maps or structs."""
    rows = [dict(event) for event in said]
    for row in rows if maps else ():
        for scope in LABEL_SCOPES:
            labels = (row[scope] or {}).get("labels")
            if labels is not None:
                row[scope] = {**row[scope], "labels": list(labels.items())}
    return pa.RecordBatch.from_pylist(rows, schema=schema(said, maps=maps))
