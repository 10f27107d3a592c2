"""A document as a tree of nodes: what its author typed, and where.

Nodes know offsets into their text; ``Source`` turns those into lines and columns. A tree is never changed once built,
and aliases share subtrees, so ``size`` counts a subtree as often as it is reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

MAX_BYTES: Final = 96_000_000
MAX_DEPTH: Final = 200
# What some ten seconds of reading make.
MAX_NODES: Final = 5_000_000
MAX_ALIASED: Final = 1_000_000


class Scalar:
    """A text as typed, quoted or not; ``text`` is None for null."""

    __slots__ = ("end", "start", "text")
    size = 1

    def __init__(self, text: str | None, start: int, end: int) -> None:
        self.text = text
        self.start = start
        self.end = end


class Sequence:
    """A list of nodes."""

    __slots__ = ("end", "items", "size", "start")

    def __init__(self, items: tuple[Node, ...], start: int, end: int, size: int) -> None:
        self.items = items
        self.start = start
        self.end = end
        self.size = size

    def __iter__(self) -> Iterator[Node]:
        return iter(self.items)


class Mapping:
    """Entries in order; every key is a text and stands once."""

    __slots__ = ("end", "entries", "size", "start")

    def __init__(self, entries: dict[str, tuple[Scalar, Node]], start: int, end: int, size: int) -> None:
        self.entries = entries
        self.start = start
        self.end = end
        self.size = size

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def get(self, key: str) -> Node | None:
        """Return the value of ``key``, or None where the mapping has no such key."""
        entry = self.entries.get(key)
        return entry[1] if entry is not None else None

    def key(self, key: str) -> Scalar:
        """Return the node of the key itself, for its place."""
        return self.entries[key][0]

    def pairs(self) -> Iterator[tuple[Scalar, Node]]:
        """Yield key node and value node, in order."""
        return iter(self.entries.values())


Node: TypeAlias = Scalar | Sequence | Mapping


class DocumentError(Exception):
    """A text cannot be made into nodes. Raised inside loading only; becomes a diagnostic there.

    ``start`` is None where the text as a whole is meant.
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


def plain(node: Node) -> object:
    """Return a node as plain data: None, str, list and dict. Depth is bounded by ``MAX_DEPTH``."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, (_, value) in node.entries.items()}
