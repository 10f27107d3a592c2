"""Records that are in the normal form already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spyderresp.events.falco import is_alert
from spyderresp.events.spyderbat import is_guardian
from spyderresp.events.tetragon import is_event


def is_normal(record: Mapping[str, Any]) -> bool:
    """Return whether a record has no key of another form.

    Every object of the normal form may be missing and other keys are kept, so no key identifies it.
    """
    return not (isinstance(record.get("schema"), str) or is_guardian(record) or is_alert(record) or is_event(record))


def copied(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a record, down to the last mapping and list; what is in it is for the engine to check.

    Walked without recursion: a record may be nested deeper than the interpreter's stack. An object met twice is
    copied once, so that aliases cost nothing and a cycle ends.
    """
    whole: dict[str, Any] = {}
    # The originals are kept beside their copies: an identity is only an identity while its object lives.
    copies: dict[int, tuple[Any, Any]] = {id(record): (record, whole)}
    waiting: list[tuple[Any, Any]] = [(record, whole)]

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
    return whole
