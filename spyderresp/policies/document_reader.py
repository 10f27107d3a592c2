"""Reads the nodes of a policy-test file: every fault becomes a diagnostic with its place, and reading goes on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from spyderresp.policies.diagnostics import Findings, Source, quoted, suggestion
from spyderresp.policies.vocabulary import FALSE, TRUE

T = TypeVar("T")
_INTEGER: Final = re.compile(r"[+-]?\d+(_\d+)*", re.ASCII)
_MOST_DIGITS: Final = 40


class Node(NamedTuple):
    """A value of a document and its place, as ``Tree.nodes`` gives it."""

    value: Any
    start: int
    end: int


class Keys:
    """A mapping: its node, and its name in messages."""

    def __init__(self, node: Node, where: str) -> None:
        self.node = node
        self.where = where
        self._pairs: Mapping[str, tuple[Any, Any]] = node.value

    def __iter__(self) -> Any:
        return iter(self._pairs)

    def get(self, key: str) -> Node | None:
        """Return the value under a key, or None."""
        pair = self._pairs.get(key)
        return None if pair is None else Node(*pair[1])

    def key(self, key: str) -> Node:
        """Return the key itself; the mapping must have it."""
        return Node(*self._pairs[key][0])


class Reader:
    """Reads values from the nodes of one text. Records each fault, and returns the default or None for it.

    Args:
        source: the text.
        findings: receives the faults.
    """

    def __init__(self, source: Source, findings: Findings) -> None:
        self.source = source
        self.findings = findings
        self._folder = os.path.dirname(source.path)

    def wrong(self, code: str, node: Node, message: str, help: str = "") -> None:
        """Record a fault."""
        self.findings.add(code, message, self.source, node.start, node.end, help)

    def keys(self, node: Node, where: str, valid: Sequence[str]) -> Keys | None:
        """Return a mapping after recording its unknown keys; None where the node is no mapping."""
        if not isinstance(node.value, dict):
            self._kind(node, where, "SR111", "mapping")
            return None
        keys = Keys(node, where)
        for word in keys:
            if word not in valid:
                self.wrong(
                    "SR701",
                    keys.key(word),
                    f"unknown key {quoted(word)} in {where}",
                    suggestion(word, valid),
                )
        return keys

    def items(self, node: Node | None, what: str) -> list[Node]:
        """Return the items of a list; a single text counts as a list of one."""
        if node is None:
            return []
        if isinstance(node.value, list):
            return [Node(*item) for item in node.value]
        if isinstance(node.value, str):
            return [node]
        self._kind(node, f"`{what}`", "SR112", "list")
        return []

    def text(self, node: Node, what: str) -> str | None:
        """Return a text, or None after recording that the node is none."""
        if isinstance(node.value, str):
            return node.value
        self._kind(node, f"`{what}`", "SR113", "text")
        return None

    def path(self, node: Node, what: str) -> str | None:
        """Return a path; a relative one starts at the folder of the text."""
        text = self.text(node, what)
        return None if text is None else os.path.join(self._folder, text)

    def texts(self, node: Node | None, what: str) -> tuple[str, ...]:
        """Return a list of texts."""
        found = (self.text(item, what) for item in self.items(node, what))
        return tuple(text for text in found if text is not None)

    def boolean(self, keys: Keys, key: str, default: bool) -> bool:
        """Return a boolean."""
        node = keys.get(key)
        if node is None:
            return default
        word = node.value
        if isinstance(word, str) and word.lower() in TRUE | FALSE:
            return word.lower() in TRUE
        shown = quoted(word) if isinstance(word, str) else shape(word)
        self.wrong("SR114", node, f"`{key}` must be true or false, not {shown}")
        return default

    def choice(self, keys: Keys, key: str, valid: Sequence[str]) -> str | None:
        """Return one of the valid words, or None where the key is absent."""
        node = keys.get(key)
        word = None if node is None else self.text(node, key)
        if node is None or word is None or word in valid:
            return word
        self.wrong("SR705", node, f"unknown value {quoted(word)} of `{key}`", suggestion(word, valid))
        return None

    def count(self, keys: Keys, key: str, default: int, *, least: int | None = 0) -> int:
        """Return an integer."""
        node = keys.get(key)
        word = None if node is None else self.text(node, key)
        if node is None or word is None:
            return default
        if len(word) > _MOST_DIGITS or not _INTEGER.fullmatch(word):
            self.wrong("SR703", node, f"`{key}` must be an integer, not {quoted(word)}")
        elif least is not None and int(word) < least:
            self.wrong("SR704", node, f"`{key}` must be at least {least}, not {quoted(word)}")
        else:
            return int(word)
        return default

    def needed(self, keys: Keys, key: str, read: Callable[[Node, str], T | None]) -> T | None:
        """Return the value of a key that must be there."""
        node = keys.get(key)
        if node is None:
            self.wrong("SR702", keys.node, f"{keys.where} has no `{key}`")
            return None
        return read(node, key)

    def given(self, keys: Keys, key: str, read: Callable[[Node, str], T | None]) -> T | None:
        """Return the value of a key that may be absent."""
        node = keys.get(key)
        return None if node is None else read(node, key)

    def _kind(self, node: Node, what: str, code: str, kind: str) -> None:
        if node.value is None:
            self.wrong("SR110", node, f"{what} needs a value", "write one, or leave the key out")
        else:
            self.wrong(code, node, f"{what} must be a {kind}, not {shape(node.value)}")


def shape(value: object) -> str:
    """Return the kind of a value, for messages."""
    if value is None:
        return "null"
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a text"
