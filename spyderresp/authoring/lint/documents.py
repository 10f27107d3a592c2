"""The documents of a text with their places, for rules about the text as it is written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, TypeAlias

from spyderresp.errors import Location
from spyderresp.policies.diagnostics import Source
from spyderresp.policies.document_limits import DocumentError
from spyderresp.policies.loader import trees

#: A value, and where it starts and ends in the text. The value is a text, None, a list of nodes, or a dict. A dict maps
#: the text of each key to the node of the key and the node of its value.
Node: TypeAlias = tuple[Any, int, int]
# Characters that end a plain word in YAML.
_ENDS: Final = " \t\r\n:,{}[]#"


class Documents:
    """The documents of one text. They are read when they are first needed."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The documents, up to the first one that cannot be read."""
        nodes: list[Node] = []
        with contextlib.suppress(DocumentError):
            nodes.extend(tree.nodes() for tree in trees(self.source))
        return tuple(nodes)

    @cached_property
    def _by_start(self) -> dict[int, Node]:
        return {document[1]: document for node in self.nodes for document in _documents(node)}

    @cached_property
    def _mappings(self) -> dict[int, Node]:
        """Every mapping, by the start of each of its keys."""
        return {key[1]: mapping for node in self.nodes for mapping in mappings(node) for key, _ in mapping[0].values()}

    @cached_property
    def _values(self) -> dict[int, Node]:
        """Every value of a mapping, by its start."""
        return {
            value[1]: value for node in self.nodes for mapping in mappings(node) for _, value in mapping[0].values()
        }

    def mapping_of(self, offset: int) -> Node | None:
        """Return the mapping with a key that starts at an offset."""
        return self._mappings.get(offset)

    def value(self, offset: int) -> Node | None:
        """Return the value of a mapping that starts at an offset."""
        return self._values.get(offset)

    def at(self, location: Location) -> Node | None:
        """Return the document that starts at a location."""
        return self._by_start.get(self.offset(location))

    def offset(self, location: Location) -> int:
        """Return the offset of a location in the text."""
        return self.source.lines.bounds(max(1, location.line))[0] + max(1, location.column) - 1

    def word(self, start: int) -> int:
        """Return the end of the word that starts at ``start``."""
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
    """Yield the mappings that may be policies: the document itself, or the items of a list in it."""
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
    """Return the node at a path of keys and list indexes below a node; None if there is none."""
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
    """Return the node of a key of a mapping; None if there is none."""
    value = node[0] if node is not None else None
    pair = value.get(key) if isinstance(value, dict) else None
    key_node: Node | None = pair[0] if pair is not None else None
    return key_node
