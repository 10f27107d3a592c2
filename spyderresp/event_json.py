"""Events out of JSON. With the extra ``json`` only what an index looks at is made; the rest is checked and skipped.

The answers are those of the standard decoder: whatever the quick one does not take as it stands goes to it, with its
errors. tests/property/test_event_json.py holds both equal. docs/decisions/0040-json-events.md says what is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn, Optional, TypedDict

from spyderresp._native.reader import IDENTITY
from spyderresp.errors import EventError
from spyderresp.extras import optional
from spyderresp.vocabulary import LABEL_SCOPES, NAMESPACE_NAME_LABEL

Text = bytes | bytearray | memoryview | str
_OWN: Final = ("id", "time", "policy_uid", "policy_name")


def decode_event(data: Text) -> Any:
    """Return the JSON value of a text, by the standard decoder.

    Raises:
        EventError: it is not JSON, or nests beyond what the decoder takes.
    """
    try:
        # Decoded here: the decoder would guess at UTF-16 and let coded surrogates through.
        text = data if isinstance(data, str) else str(data, "utf-8")
        return _decode(text.removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise EventError("", f"not valid UTF-8: byte 0x{byte:02x} at column {error.start + 1}") from None
    except json.JSONDecodeError as error:
        reason = f"{error.msg.lower()}, line {error.lineno} column {error.colno}"
    except RecursionError:
        reason = "nested too deeply"
    except _NotJsonError as error:
        reason = str(error)
    except ValueError:
        reason = "a number has too many digits"
    raise EventError("", f"not valid JSON: {reason}")


class _NotJsonError(ValueError):
    """A word that the decoder takes and JSON does not have."""


def _no_constant(word: str) -> NoReturn:
    raise _NotJsonError(f"{word} is no JSON value")


# One for all: `json.loads` makes a decoder for each call that brings an argument, which costs a third of the decoding.
_decode: Final = json.JSONDecoder(parse_constant=_no_constant).decode


def decoder_of(attributes: Iterable[tuple[str, str]]) -> Callable[[Text], Any]:
    """Return what decodes events for an index that looks at these fields, each a scope and a field or label.

    What it returns holds these fields, whom an event is about, and no more.
    """
    msgspec = optional("msgspec")
    if msgspec is None:
        return decode_event
    try:
        quick: Callable[[Text], Any] = msgspec.json.Decoder(_shape(attributes)).decode
    except (TypeError, UnicodeError):
        # A key that no JSON text can hold.
        return decode_event
    refusals = (msgspec.MsgspecError, UnicodeError, RecursionError)

    def decode(data: Text) -> Any:
        try:
            if type(data) is bytes and data.isascii():
                return quick(data)
            # What is skipped is checked to be JSON, but not to be UTF-8.
            return quick(data if isinstance(data, str) else str(data, "utf-8"))
        except refusals:
            return decode_event(data)

    return decode


def _shape(attributes: Iterable[tuple[str, str]]) -> Any:
    """Return the type of an event that has these fields, any values in them, and the target's identity."""
    fields: dict[str, dict[str, Any]] = {scope: dict.fromkeys(keys, Any) for scope, keys in IDENTITY}
    labels: dict[str, dict[str, Any]] = {"namespace": {NAMESPACE_NAME_LABEL: Any}}
    for scope, key in attributes:
        held = labels.setdefault(scope, {}) if scope in LABEL_SCOPES else fields.setdefault(scope, {})
        held[key] = Any
    for scope, keys in labels.items():
        fields.setdefault(scope, {})["labels"] = _optional(scope, keys)
    own: dict[str, Any] = dict.fromkeys(_OWN, Any)
    return _mapping("event", own | {scope: _optional(scope, keys) for scope, keys in fields.items()})


def _mapping(name: str, fields: dict[str, Any]) -> Any:
    make: Any = TypedDict
    return make(name, fields, total=False)


def _optional(name: str, fields: dict[str, Any]) -> Any:
    return Optional[_mapping(name, fields)]  # noqa: UP045 - made at run time
