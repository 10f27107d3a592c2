"""Recognises and copies records that are in the normal form already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spyderresp.events.falco import is_alert
from spyderresp.events.spyderbat import is_guardian
from spyderresp.events.tetragon import is_event


def is_normal(record: Mapping[str, Any]) -> bool:
    """Return whether a record has no key of another form.

    Every key of the normal form may be missing, and other keys are allowed, so no key identifies the normal form.
    """
    return not (isinstance(record.get("schema"), str) or is_guardian(record) or is_alert(record) or is_event(record))


def copied(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of a record. The engine checks its values.

    Without recursion, because a record may be nested deeper than the interpreter's stack. An object that occurs several
    times is copied once, so that a cycle ends.
    """
    result: dict[str, Any] = {}
    # The originals are kept with their copies: while an object lives, no other object has its ``id``.
    copies: dict[int, tuple[Any, Any]] = {id(record): (record, result)}
    waiting: list[tuple[Any, Any]] = [(record, result)]

    def copy_of(value: Any) -> Any:
        empty: Any
        if isinstance(value, Mapping):
            empty = {}
        elif isinstance(value, (list, tuple)):
            empty = []
        else:
            return value
        if id(value) not in copies:
            copies[id(value)] = (value, empty)
            waiting.append((value, empty))
        return copies[id(value)][1]

    while waiting:
        original, copy = waiting.pop()
        if isinstance(original, Mapping):
            for key, value in original.items():
                copy[key] = copy_of(value)
        else:
            copy.extend(copy_of(value) for value in original)
    return result
