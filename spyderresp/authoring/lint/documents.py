"""The documents of a text with their places, for rules about what the author typed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, TypeAlias

from spyderresp.errors import Location
from spyderresp.policies.diagnostics import Source
from spyderresp.policies.document_limits import DocumentError
from spyderresp.policies.loader import trees

#: What it is (a text, None, a list of nodes, or a dict from a key's text to the key's node and its value's), and where.
Node: TypeAlias = tuple[Any, int, int]
_ENDS: Final = " \t\r\n:,{}[]#"


class Documents:
    """The documents of one text, read when they are first asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The documents, up to the first that cannot be read."""
        found: list[Node] = []
        with contextlib.suppress(DocumentError):
            # A text may be read in part.
            found.extend(tree.nodes() for tree in trees(self.source))
        return tuple(found)

    @cached_property
    def _by_start(self) -> dict[int, Node]:
        held = {}
        for node in self.nodes:
            for document in _documents(node):
                held[document[1]] = document
        return held

    @cached_property
    def _holders(self) -> dict[int, Node]:
        """Every mapping, by where each of its keys begins."""
        return {key[1]: mapping for node in self.nodes for mapping in mappings(node) for key, _ in mapping[0].values()}

    @cached_property
    def _values(self) -> dict[int, Node]:
        """Every value of a mapping, by where it begins."""
        return {
            value[1]: value for node in self.nodes for mapping in mappings(node) for _, value in mapping[0].values()
        }

    def holding(self, offset: int) -> Node | None:
        """Return the mapping that has a key at a place."""
        return self._holders.get(offset)

    def value(self, offset: int) -> Node | None:
        """Return the value of a mapping that begins at a place."""
        return self._values.get(offset)

    def at(self, location: Location) -> Node | None:
        """Return the document that begins at a place."""
        return self._by_start.get(self.offset(location))

    def offset(self, location: Location) -> int:
        """Return where in the text a place is."""
        return self.source.lines.bounds(max(1, location.line))[0] + max(1, location.column) - 1

    def word(self, start: int) -> int:
        """Return where the word that begins at ``start`` ends."""
        text, end = self.source.text, start + 1
        if text[start : start + 1] in ("'", '"'):
            closing = text.find(text[start], end)
            return closing + 1 if closing >= 0 else end
        while end < len(text) and text[end] not in _ENDS:
            end += 1
        return end


def mappings(node: Node) -> Iterator[Node]:
    """Yield every mapping of a document."""
    value = node[0]
    if isinstance(value, dict):
        yield node
        for _, below in value.values():
            yield from mappings(below)
    elif isinstance(value, list):
        for item in value:
            yield from mappings(item)


def _documents(node: Node) -> Iterator[Node]:
    value = node[0]
    if isinstance(value, list):
        for item in value:
            yield from _documents(item)
    elif isinstance(value, dict):
        yield node
        items = child(node, "items")
        if "kind" not in value and items is not None:
            yield from _documents(items)


def child(node: Node | None, *keys: str | int) -> Node | None:
    """Return what stands under these keys and places of lists, or None where nothing does."""
    for key in keys:
        if node is None:
            return None
        value = node[0]
        if isinstance(key, int):
            node = value[key] if isinstance(value, list) and key < len(value) else None
        else:
            pair = value.get(key) if isinstance(value, dict) else None
            node = pair[1] if pair is not None else None
    return node


def key_of(node: Node | None, key: str) -> Node | None:
    """Return the node of a key itself."""
    value = node[0] if node is not None else None
    pair = value.get(key) if isinstance(value, dict) else None
    found: Node | None = pair[0] if pair is not None else None
    return found
