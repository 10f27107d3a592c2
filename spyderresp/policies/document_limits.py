"""Limits on a document, and why a text is none."""

from __future__ import annotations

from typing import Final

from spyderresp.errors import SpyderrespError

MAX_BYTES: Final = 256_000_000
MAX_DEPTH: Final = 200
# What some twenty seconds of reading make, as YAML.
MAX_NODES: Final = 20_000_000
MAX_ALIASED: Final = 1_000_000


class DocumentError(SpyderrespError):
    """A text cannot be made into nodes. Raised inside loading only; becomes a diagnostic there.

    ``start`` is None for the whole text.
    """

    def __init__(
        self, code: str, message: str, start: int | None = None, end: int | None = None, help: str = ""
    ) -> None:
        self.code = code
        self.message = message
        self.start = start
        self.end = end if end is not None else (start or 0) + 1
        self.help = help
        super().__init__(message)


def too_deep(start: int) -> DocumentError:
    """Build the error for nesting beyond ``MAX_DEPTH``."""
    return DocumentError("SR009", f"nested more than {MAX_DEPTH} levels deep", start)


def too_many(start: int) -> DocumentError:
    """Build the error for more than ``MAX_NODES`` values."""
    return DocumentError(
        "SR010", f"more than {MAX_NODES:,} values in one text", start, help="split it over several files"
    )


def duplicate_key(text: str, start: int, end: int) -> DocumentError:
    """Build the error for a key that stands twice in one mapping."""
    return DocumentError("SR012", f"duplicate key `{text}`", start, end, help="keep one of the two")


class NotJsonError(SpyderrespError):
    """The text is not JSON; it may still be YAML. ``offset`` is where reading stopped."""

    def __init__(self, message: str, offset: int) -> None:
        self.message = message
        self.offset = offset
        super().__init__(message)
