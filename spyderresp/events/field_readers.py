"""Reading one mapping of a record: the right type, or an ``EventError`` that names the path in the record.

Null and missing are the same, absent, and come back as None; an empty text is a value (docs/POLICY.md, section 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spyderresp.errors import EventError


def json_kind(value: object) -> str:
    """Name the kind of a JSON value, for a message."""
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
    """Return the given fields without the absent ones (None) and the empty mappings, in the order given."""
    return {key: value for key, value in fields.items() if value is not None and value != {}}


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping inside a record, and its path there (empty for the record itself)."""

    values: Mapping[str, Any]
    path: str = ""

    def at(self, key: str) -> str:
        """Return the path of one key."""
        return f"{self.path}.{key}" if self.path else key

    def refusal(self, key: str, wanted: str) -> EventError:
        """Return the error for a value of the wrong kind."""
        return EventError(self.at(key), f"must be {wanted}, not {json_kind(self.values.get(key))}")

    def text(self, *keys: str) -> str | None:
        """Return the text under the first of the keys that is present."""
        for key in keys:
            value = self.values.get(key)
            if isinstance(value, str):
                return value
            if value is not None:
                raise self.refusal(key, "text")
        return None

    def only_text(self, key: str) -> str | None:
        """Return a text, or the one text that a list holds; None where it holds several.

        The vendor writes ``exe`` and ``euser`` as lists. One of several would be a guess, and a wrong guess can match
        a kill's selector.
        """
        value = self.values.get(key)
        if not isinstance(value, (list, tuple)):
            if value is None or isinstance(value, str):
                return value
            raise self.refusal(key, "text or a list of texts")
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
        raise self.refusal(key, "an integer")

    def instant(self, key: str) -> str | int | float | None:
        """Return a time as it stands: RFC 3339 text, or epoch seconds."""
        value = self.values.get(key)
        if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
            return value
        raise self.refusal(key, "text or a number")

    def labels(self, key: str) -> dict[str, str]:
        """Return a copy of a mapping of labels; a label whose value is null is absent."""
        held = self.within(key)
        for name in held.values:
            if not isinstance(name, str):
                raise EventError(held.path, "holds a label whose name is not text")
        read = {name: held.text(name) for name in held.values}
        return {name: value for name, value in read.items() if value is not None}

    def within(self, key: str) -> Fields:
        """Return the mapping under a key; an empty one where it is absent."""
        value = self.values.get(key)
        if value is None:
            return Fields({}, self.at(key))
        if not isinstance(value, Mapping):
            raise self.refusal(key, "a mapping")
        return Fields(value, self.at(key))

    def needed(self, key: str) -> Fields:
        """Return the mapping under a key that the form cannot do without."""
        if self.values.get(key) is None:
            raise EventError(self.at(key), "is missing")
        return self.within(key)

    def mappings(self, key: str) -> list[Fields]:
        """Return the mappings of a list; none where it is absent."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, (list, tuple)):
            raise self.refusal(key, "a list")
        held = []
        for index, item in enumerate(value):
            path = f"{self.at(key)}[{index}]"
            if not isinstance(item, Mapping):
                raise EventError(path, f"must be a mapping, not {json_kind(item)}")
            held.append(Fields(item, path))
        return held
