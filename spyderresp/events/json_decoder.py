"""Events out of JSON, by the standard decoder: its answers and its errors are the measure of any other (narrow.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from spyderresp.errors import EventError, SpyderrespError


def decode_event(data: bytes | bytearray | memoryview | str) -> Any:
    """Return the JSON value of a text. Byte order marks at its start are dropped, as the loader of policies does.

    Raises:
        EventError: it is not JSON, or nests beyond what the decoder takes.
    """
    try:
        # Decoded here: the decoder would guess at UTF-16 and let coded surrogates through.
        text = data if isinstance(data, str) else str(data, "utf-8")
        return _decode(text.lstrip("\ufeff"))
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


class _NotJsonError(SpyderrespError, ValueError):
    """A word that the decoder takes and JSON does not have."""


def _no_constant(word: str) -> NoReturn:
    raise _NotJsonError(f"{word} is no JSON value")


# One for all: `json.loads` makes a decoder for each call that brings an argument, which costs a third of the decoding.
_decode: Final = json.JSONDecoder(parse_constant=_no_constant).decode


def lines(buffer: bytes | str) -> Iterator[bytes | str]:
    """Yield the lines of a text that are not blank."""
    # Not splitlines(): JSON strings may hold U+2028 and its like raw, and only a newline ends a line.
    if isinstance(buffer, str):
        yield from (line for line in buffer.split("\n") if line and not line.isspace())
    else:
        yield from (line for line in bytes(buffer).split(b"\n") if line and not line.isspace())
