"""YAML text to nodes, built from the event stream: libyaml's own composer recurses and can crash the interpreter.

The only importer of yaml. Scalars are the text their author typed: YAML 1.1's typing of plain words is not applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml import events

from spyderresp.document import (
    MAX_ALIASED,
    MAX_DEPTH,
    MAX_NODES,
    DocumentError,
    Mapping,
    Node,
    Scalar,
    Sequence,
    too_deep,
    too_many,
)

# Without libyaml PyYAML's own parser gives the same events, some twenty times slower, and lets lone surrogates through.
LIBYAML: Final[bool] = yaml.__with_libyaml__
Loader: Final = yaml.CSafeLoader if LIBYAML else yaml.SafeLoader

_NULLS: Final = frozenset({"", "~", "null"})
_CORE_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")
)
_NULL_TAG: Final = "tag:yaml.org,2002:null"
_NON_NULL_TAGS: Final = frozenset({"!", "tag:yaml.org,2002:str"})
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_QUOTE_HELP: Final = "quote a value that begins with a special character, a glob above all: `'*.sh'`"


def read_yaml(text: str) -> Iterator[Node]:
    """Yield the root of each document of a YAML text; an empty document is a null scalar.

    Raises:
        DocumentError: the text is not YAML, or passes a limit. Documents before the fault have been yielded.
    """
    loader = Loader(text)
    try:
        yield from _Builder(loader).documents()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(text, error) from None
    except yaml.reader.ReaderError as error:
        raise _reader_error(text, error) from None
    finally:
        loader.dispose()


def _syntax_error(text: str, error: yaml.MarkedYAMLError) -> DocumentError:
    mark = error.problem_mark or error.context_mark
    start = min(mark.index, len(text)) if mark is not None else None
    context = f"{error.context}: " if error.context else ""
    problem = error.problem or "unreadable"
    line_start = text.rfind("\n", 0, start or 0) + 1
    if start is not None and "\t" in text[line_start : start + 1] and not text[line_start:start].strip():
        return DocumentError("SR008", "a tab is used as indentation", start, help="indent with spaces")
    if error.context == "while scanning an alias":
        return DocumentError("SR013", "`*` begins an alias here, and no name follows", start, help=_QUOTE_HELP)
    special = start is not None and text[start : start + 1] in tuple("*?&!%@`[]{}|>'\",")
    return DocumentError("SR007", f"not valid YAML: {context}{problem}", start, help=_QUOTE_HELP if special else "")


def _reader_error(text: str, error: Any) -> DocumentError:
    # libyaml counts bytes here and the pure reader characters; the character itself is found in the text instead.
    character = error.character if isinstance(error.character, int) else ord(error.character)
    start = text.find(chr(character)) if character < 0x110000 else -1
    return DocumentError(
        "SR006",
        f"character U+{character:04X} may not stand in a YAML text: this looks like binary data",
        start if start >= 0 else None,
        help="escape it inside double quotes if it is meant",
    )


class _MergeKey(Scalar):
    """A plain ``<<`` (a quoted one is an ordinary key)."""

    __slots__ = ()


class _Frame:
    """A collection that is still open."""

    __slots__ = ("anchor", "children", "event", "size")

    def __init__(self, event: Any, anchor: str | None) -> None:
        self.event = event
        self.anchor = anchor
        self.children: list[Node] = []
        self.size = 1


class _Builder:
    """Turns events into nodes with a stack of its own, so that depth costs memory, never the C stack."""

    def __init__(self, loader: Any) -> None:
        self._next = loader.get_event
        self._anchors: dict[str, Node | None] = {}
        self._nodes = 0
        self._aliased = 0

    def documents(self) -> Iterator[Node]:
        while True:
            event = self._next()
            if event is None or isinstance(event, events.StreamEndEvent):
                return
            if isinstance(event, events.DocumentStartEvent):
                self._anchors = {}
                yield self._document()

    def _document(self) -> Node:
        stack: list[_Frame] = []
        while True:
            event = self._next()
            kind = type(event)
            if kind is events.ScalarEvent:
                node: Node = self._scalar(event)
            elif kind is events.MappingStartEvent or kind is events.SequenceStartEvent:
                self._open(event, stack)
                continue
            elif kind is events.AliasEvent:
                node = self._alias(event)
            else:
                frame = stack.pop()
                node = self._close(frame, event.end_mark.index)
            if not stack:
                return node
            top = stack[-1]
            top.children.append(node)
            top.size += node.size

    def _open(self, event: Any, stack: list[_Frame]) -> None:
        start = event.start_mark.index
        self._count(start)
        _check_tag(event)
        if len(stack) >= MAX_DEPTH:
            raise too_deep(start)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        stack.append(_Frame(event, event.anchor))

    def _count(self, start: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise too_many(start)

    def _scalar(self, event: Any) -> Scalar:
        start = event.start_mark.index
        self._count(start)
        text: str | None = event.value
        if event.tag is not None:
            _check_tag(event)
        plain = not event.style
        if text in _NULLS and (event.tag not in _NON_NULL_TAGS if plain else event.tag == _NULL_TAG):
            text = None
        elif not LIBYAML and text and _SURROGATE.search(text):
            raise DocumentError("SR018", "a lone surrogate is no character", start, event.end_mark.index)
        kind = _MergeKey if plain and text == "<<" else Scalar
        node = kind(text, start, event.end_mark.index)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        name = event.anchor
        if name not in self._anchors:
            raise DocumentError(
                "SR013",
                f"unknown alias `*{name}`",
                start,
                end,
                help=f"no `&{name}` stands before it; if a glob is meant, quote it: `'*{name}'`",
            )
        node = self._anchors[name]
        if node is None:
            raise DocumentError("SR014", f"the alias `*{name}` refers to what holds it", start, end)
        self._aliased += node.size
        if self._aliased > MAX_ALIASED:
            raise DocumentError("SR011", f"aliases expand to more than {MAX_ALIASED:,} values", start, end)
        return node

    def _close(self, frame: _Frame, end: int) -> Node:
        start = frame.event.start_mark.index
        node: Node
        if isinstance(frame.event, events.SequenceStartEvent):
            node = Sequence(tuple(frame.children), start, end, frame.size)
        else:
            node = Mapping(self._entries(frame.children), start, end, frame.size)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = node
        return node

    def _entries(self, children: list[Node]) -> dict[str, tuple[Scalar, Node]]:
        entries: dict[str, tuple[Scalar, Node]] = {}
        merged: list[Mapping] = []
        merge_key: Scalar | None = None
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar) or key.text is None:
                raise DocumentError("SR016", "a key must be a text", key.start, key.end)
            if isinstance(key, _MergeKey):
                if merge_key is not None:
                    raise duplicate_key(key)
                merge_key = key
                merged = _merge_sources(key, value)
            elif key.text in entries:
                raise duplicate_key(key)
            else:
                entries[key.text] = (key, value)
        for source in merged:
            for name, entry in source.entries.items():
                entries.setdefault(name, entry)
        return entries


def duplicate_key(key: Scalar) -> DocumentError:
    """Build the error for a key that stands twice in one mapping."""
    return DocumentError("SR012", f"duplicate key `{key.text}`", key.start, key.end, help="keep one of the two")


def _merge_sources(key: Scalar, value: Node) -> list[Mapping]:
    sources = value.items if isinstance(value, Sequence) else (value,)
    mappings = [source for source in sources if isinstance(source, Mapping)]
    if not mappings or len(mappings) != len(sources):
        raise DocumentError("SR017", "`<<` takes a mapping or a list of mappings", key.start, key.end)
    return mappings


def _check_tag(event: Any) -> None:
    if event.tag is None or event.tag == "!" or event.tag in _CORE_TAGS:
        return
    raise DocumentError(
        "SR015",
        f"unknown tag `{event.tag}`",
        event.start_mark.index,
        event.start_mark.index + 1,
        help="values here are texts, lists and mappings; if the text begins with `!`, quote it",
    )
