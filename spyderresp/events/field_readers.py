"""Reads typed values from a mapping in a record. A value of another type is an ``EventError`` with its path.

Null and a missing key both mean absence, and are read as None. An empty text is a value (docs/POLICY.md, section 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spyderresp.errors import EventError


def json_kind(value: object) -> str:
    """Return the kind of a JSON value, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "something else"


def without_absent(**fields: Any) -> dict[str, Any]:
    """Return the fields without those that are None or an empty mapping, in the same order."""
    return {key: value for key, value in fields.items() if value is not None and value != {}}


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping in a record, and its path (empty: the record itself)."""

    values: Mapping[str, Any]
    path: str = ""

    def at(self, key: str) -> str:
        """Return the path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def wrong_kind(self, key: str, expected: str) -> EventError:
        """Return the error for a value of the wrong kind."""
        return EventError(self.at(key), f"must be {expected}, not {json_kind(self.values.get(key))}")

    def text(self, *keys: str) -> str | None:
        """Return the text of the first key that is present."""
        for key in keys:
            value = self.values.get(key)
            if isinstance(value, str):
                return value
            if value is not None:
                raise self.wrong_kind(key, "text")
        return None

    def only_text(self, key: str) -> str | None:
        """Return a text, or the only text of a list; None if the list has several.

        The vendor writes ``exe`` and ``euser`` as lists. To choose one of several texts would be a guess, and with a
        wrong guess a selector of a kill may match.
        """
        value = self.values.get(key)
        if not isinstance(value, (list, tuple)):
            if value is None or isinstance(value, str):
                return value
            raise self.wrong_kind(key, "text or a list of texts")
        for index, item in enumerate(value):
            if not isinstance(item, str):
                raise EventError(f"{self.at(key)}[{index}]", f"must be text, not {json_kind(item)}")
        return value[0] if len(set(value)) == 1 else None

    def integer(self, key: str) -> int | None:
        """Return an integer, such as a process id."""
        value = self.values.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, float):
            raise EventError(self.at(key), "must be an integer")
        raise self.wrong_kind(key, "an integer")

    def instant(self, key: str) -> str | int | float | None:
        """Return a time unchanged: an RFC 3339 text, or epoch seconds."""
        value = self.values.get(key)
        if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
            return value
        raise self.wrong_kind(key, "text or a number")

    def labels(self, key: str) -> dict[str, str]:
        """Return a copy of a mapping of labels, without labels whose value is null."""
        labels = self.within(key)
        for name in labels.values:
            if not isinstance(name, str):
                raise EventError(labels.path, "holds a label whose name is not text")
        texts = {name: labels.text(name) for name in labels.values}
        return {name: text for name, text in texts.items() if text is not None}

    def within(self, key: str) -> Fields:
        """Return the mapping of a key; an empty one if it is absent."""
        value = self.values.get(key)
        if value is None:
            return Fields({}, self.at(key))
        if not isinstance(value, Mapping):
            raise self.wrong_kind(key, "a mapping")
        return Fields(value, self.at(key))

    def needed(self, key: str) -> Fields:
        """Return the mapping of a key that must be present."""
        if self.values.get(key) is None:
            raise EventError(self.at(key), "is missing")
        return self.within(key)

    def mappings(self, key: str) -> list[Fields]:
        """Return the mappings in a list; an empty list if it is absent."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, (list, tuple)):
            raise self.wrong_kind(key, "a list")
        mappings = []
        for index, item in enumerate(value):
            path = f"{self.at(key)}[{index}]"
            if not isinstance(item, Mapping):
                raise EventError(path, f"must be a mapping, not {json_kind(item)}")
            mappings.append(Fields(item, path))
        return mappings
