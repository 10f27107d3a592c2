"""Decodes events from JSON with the standard decoder. Its results and errors are the reference for faster ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from spyderresp.errors import EventError, SpyderrespError


def decode_event(data: bytes | bytearray | memoryview | str) -> Any:
    """Return the JSON value of a text. Byte order marks at its start are dropped, as the loader of policies does.

    Raises:
        EventError: the text is not JSON, or is nested too deeply for the decoder.
    """
    try:
        # Decode UTF-8 here: the JSON decoder also accepts UTF-16 and encoded surrogates.
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
    """A word that the decoder accepts and JSON does not allow, such as ``NaN``."""


def _no_constant(word: str) -> NoReturn:
    raise _NotJsonError(f"{word} is no JSON value")


# Made once: with an argument, `json.loads` makes a decoder in each call, which takes a third of the decoding time.
_decode: Final = json.JSONDecoder(parse_constant=_no_constant).decode


def lines(buffer: bytes | str) -> Iterator[bytes | str]:
    """Yield the lines of a text that are not blank."""
    # splitlines() would also split at characters such as U+2028, which JSON strings may contain.
    if isinstance(buffer, str):
        yield from (line for line in buffer.split("\n") if line and not line.isspace())
    else:
        yield from (line for line in bytes(buffer).split(b"\n") if line and not line.isspace())
