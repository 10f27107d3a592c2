"""JSON text to nodes. The standard library's decoder gives no positions; its string scanner is used here."""

from __future__ import annotations

import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed does not list it
from typing import Final

from spyderresp.document import MAX_DEPTH, MAX_NODES, DocumentError, Mapping, Node, Scalar, Sequence, too_deep, too_many
from spyderresp.yaml_text import duplicate_key

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_LITERAL: Final = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class NotJsonError(Exception):
    """The text is not JSON; it may still be YAML. ``offset`` is where reading stopped."""

    def __init__(self, message: str, offset: int) -> None:
        self.message = message
        self.offset = offset
        super().__init__(message)


class _Open:
    """A collection that is still open; ``key`` is the pending key of a mapping."""

    __slots__ = ("entries", "items", "key", "size", "start")

    def __init__(self, start: int, *, mapping: bool) -> None:
        self.start = start
        self.items: list[Node] = []
        self.entries: dict[str, tuple[Scalar, Node]] | None = {} if mapping else None
        self.key: Scalar | None = None
        self.size = 1

    def add(self, node: Node) -> None:
        self.size += node.size
        if self.entries is None:
            self.items.append(node)
        elif self.key is not None:
            self.entries[self.key.text or ""] = (self.key, node)

    def close(self, end: int) -> Node:
        if self.entries is None:
            return Sequence(tuple(self.items), self.start, end, self.size)
        return Mapping(self.entries, self.start, end, self.size)


def read_json(text: str, *, surrogates: bool = False) -> Node:
    """Return the one document of a JSON text. Numbers and booleans are kept as their JSON text.

    Args:
        text: a JSON text (RFC 8259).
        surrogates: accept lone surrogates in strings, as Python's own strings may hold them.

    Raises:
        NotJsonError: the text is not JSON.
        DocumentError: it is JSON, and has a duplicate key, a lone surrogate, or passes a limit.
    """
    reader = _Reader(text, surrogates)
    node = reader.document()
    if reader.skip() != len(text):
        raise NotJsonError("extra data after the document", reader.at)
    return node


class _Reader:
    """Reads with a stack of its own, so that depth costs memory, never recursion."""

    def __init__(self, text: str, surrogates: bool) -> None:
        self.text = text
        self.at = 0
        self._surrogates = surrogates
        self._nodes = 0
        self._fault: DocumentError | None = None

    def skip(self) -> int:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def document(self) -> Node:
        stack: list[_Open] = []
        while True:
            node = self._value(stack)
            while node is not None:
                if not stack:
                    if self._fault is not None:
                        raise self._fault
                    return node
                stack[-1].add(node)
                node = self._after(stack)

    def _value(self, stack: list[_Open]) -> Node | None:
        """Read the start of a value: a whole scalar or empty collection, or None after opening a collection."""
        start = self.skip()
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise too_many(start)
        char = self.text[start : start + 1]
        if char in ("{", "["):
            if len(stack) >= MAX_DEPTH:
                raise too_deep(start)
            self.at += 1
            frame = _Open(start, mapping=char == "{")
            closing = "}" if char == "{" else "]"
            if self.text[self.skip() : self.at + 1] == closing:
                self.at += 1
                return frame.close(self.at)
            stack.append(frame)
            if frame.entries is not None:
                self._key(frame)
            return None
        if char == '"':
            return self._string()
        match = _LITERAL.match(self.text, start)
        if match is None:
            raise NotJsonError("expected a value", start)
        self.at = match.end()
        return Scalar(None if match[0] == "null" else match[0], start, self.at)

    def _after(self, stack: list[_Open]) -> Node | None:
        """Read what follows an element: a comma, or the end of the collection, which is then an element itself."""
        frame = stack[-1]
        char = self.text[self.skip() : self.at + 1]
        self.at += 1
        if char == ",":
            if frame.entries is not None:
                self._key(frame)
            return None
        if char != ("]" if frame.entries is None else "}"):
            raise NotJsonError("expected `,` or the end of the collection", self.at - 1)
        stack.pop()
        return frame.close(self.at)

    def _key(self, frame: _Open) -> None:
        if self.text[self.skip() : self.at + 1] != '"':
            raise NotJsonError("expected a key in double quotes", self.at)
        key = self._string()
        if self.text[self.skip() : self.at + 1] != ":":
            raise NotJsonError("expected `:`", self.at)
        self.at += 1
        # Whether the whole is JSON is not known yet; the fault is raised once it is.
        if frame.entries is not None and key.text in frame.entries:
            self._fault = self._fault or duplicate_key(key)
        frame.key = key

    def _string(self) -> Scalar:
        start = self.at
        try:
            text, self.at = scanstring(self.text, start + 1, True)
        except JSONDecodeError as error:
            raise NotJsonError(error.msg.lower(), error.pos) from None
        if not self._surrogates and not text.isascii() and _SURROGATE.search(text):
            fault = DocumentError("SR018", "a lone surrogate is no character", start, self.at)
            self._fault = self._fault or fault
        return Scalar(text, start, self.at)
