"""Deliveries into events, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from spyderresp.errors import EventError
from spyderresp.event_json import decode_event
from spyderresp.service.intake import Delivery
from spyderresp.service.lines import converted, to_event, too_long


def unpacked(delivery: Delivery, form: str | None) -> Iterator[tuple[int, Any]]:
    """Yield the place of each record of a delivery, and its event or the ``EventError`` that is wrong with it."""
    for number in delivery.long:
        yield number, too_long(delivery.limit)
    data = delivery.data
    if delivery.whole and not _is_lines(data):
        try:
            value = decode_event(data)
        except EventError as error:
            yield delivery.first, error
            return
        for number, record in enumerate(value if isinstance(value, list) else [value], 1):
            yield number, _attempt(converted, record, form)
        return
    for number, line in enumerate(data.split(b"\n"), delivery.first):
        if line and not line.isspace():
            yield number, _attempt(to_event, line.removesuffix(b"\r"), form)


def _is_lines(data: bytes) -> bool:
    """Tell whether what is called one value is lines of values: its first line is a whole object, and more follows."""
    first, _, rest = data.strip().partition(b"\n")
    if not rest or not first.startswith(b"{"):
        return False
    try:
        return isinstance(decode_event(first), dict)
    except EventError:
        return False


def _attempt(read: Callable[[Any, str | None], Any], record: Any, form: str | None) -> Any:
    try:
        return read(record, form)
    except EventError as error:
        return error
