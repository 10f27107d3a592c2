"""Events of policy tests: written in the test, or read from a file of JSON."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spyderresp.errors import EventError
from spyderresp.event_json import decode_event
from spyderresp.findings import Findings, quoted, suggestion
from spyderresp.loading import read_source
from spyderresp.service.lines import converted
from spyderresp.service.reading import Node, Reader
from spyderresp.testing.model import Given

_ANCHOR: Final = re.compile(r"&\S+\s+")
_JSON: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false", re.ASCII)


def data_of(node: Node, text: str) -> Any:
    """Return a value as JSON data: what is not quoted and is a number or a boolean in JSON is that, else a text.

    So ``pid: 4242`` is a number, and ``007``, ``no`` and ``"4242"`` are texts.
    """
    value = node.value
    if isinstance(value, dict):
        return {key: data_of(Node(*pair[1]), text) for key, pair in value.items()}
    if isinstance(value, list):
        return [data_of(Node(*item), text) for item in value]
    if value is None or not _JSON.fullmatch(value):
        return value
    if _ANCHOR.sub("", text[node.start : node.end], count=1) != value:
        return value
    try:
        return json.loads(value)
    except ValueError:
        # A number of more digits than Python reads.
        return value


def merged(record: Any, other: Any) -> Any:
    """Return a record with what another says in its place, mappings key by key; null takes away (RFC 7396).

    An error that stands in the place of a record stays.
    """
    if isinstance(record, EventError) or not isinstance(other, Mapping):
        return record if isinstance(record, EventError) else other
    if not isinstance(record, Mapping):
        record = {}
    result = {key: value for key, value in record.items() if key not in other or other[key] is not None}
    for key, value in other.items():
        if value is not None:
            result[key] = merged(record.get(key), value) if isinstance(value, Mapping) else value
    return result


def given(label: str, record: Any, form: str | None) -> Given:
    """Return the event of a record; an error that stands in its place stays."""
    if isinstance(record, EventError):
        return Given(label, None, record)
    try:
        return Given(label, converted(record, form))
    except EventError as error:
        return Given(label, None, error)


def read_events(path: str, node: Node, reader: Reader) -> list[tuple[str, Any]]:
    """Return the records of a file, labelled by their lines; each that is not JSON is an EventError in its place.

    A file named ``*.json`` holds one JSON value, which may be a list of records; any other one a line.
    """
    if not os.path.exists(path):
        reader.wrong("SR707", node, f"there is no file {quoted(path)}", _nearest(path))
        return []
    trouble = Findings()
    source = read_source(path, trouble)
    if source is None:
        reader.wrong("SR707", node, f"events cannot be read from {quoted(path)}: {trouble.items[0].message}")
        return []
    name = os.path.basename(path)
    records = list(_whole(source.text, name) if path.endswith(".json") else _lines(source.text, name))
    if not records:
        reader.wrong("SR707", node, f"no event in {quoted(path)}")
    return records


def _nearest(path: str) -> str:
    folder = os.path.dirname(path) or "."
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".json", ".jsonl", ".ndjson")))
    except (OSError, ValueError):
        return f"there is no directory `{folder}`; paths start at the test's file"
    return suggestion(os.path.basename(path), names) if names else f"no file of events is in `{folder}`"


def _whole(text: str, name: str) -> Iterator[tuple[str, Any]]:
    try:
        value = decode_event(text)
    except EventError as error:
        value = error
    if isinstance(value, list):
        yield from ((f"{name}[{place}]", record) for place, record in enumerate(value))
    else:
        yield name, value


def _lines(text: str, name: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line and not line.isspace():
            try:
                yield f"{name}:{number}", decode_event(line)
            except EventError as error:
                yield f"{name}:{number}", error
