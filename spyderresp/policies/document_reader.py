"""Checks on the nodes of a configuration: every fault a diagnostic with its place, and reading goes on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from spyderresp.policies.diagnostics import Findings, Source, listed, quoted, suggestion
from spyderresp.policies.vocabulary import FALSE, TRUE

T = TypeVar("T")
_NUMBER: Final = re.compile(r"[+-]?\d+(_\d+)*(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
# A size may be written as `64MiB`, a time as `30s` or `5m`.
_UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES: Final = ("", "KiB", "MiB", "GiB")
_SECONDS: Final = ("", "s", "m", "h", "d")


class Node(NamedTuple):
    """A value of a document and its place, as ``Tree.nodes`` gives it."""

    value: Any
    start: int
    end: int


class Keys:
    """A mapping whose keys are being read.

    Attributes:
        node: the mapping.
        where: what messages call it.
    """

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
    """Reads values out of nodes. Made for one document; a fault is recorded and gives the default.

    Args:
        source: the text.
        findings: where faults go.
        family: what the codes of faults of this kind of document begin with.
    """

    def __init__(self, source: Source, findings: Findings, family: str = "SR6") -> None:
        self.source = source
        self.findings = findings
        self._family = family
        self._folder = os.path.dirname(source.path)

    def wrong(self, code: str, node: Node, message: str, help: str = "") -> None:
        """Record a fault."""
        self.findings.add(code, message, self.source, node.start, node.end, help)

    def keys(self, node: Node, where: str, valid: Sequence[str]) -> Keys | None:
        """Return a mapping, its unknown keys recorded; None where it is none."""
        if not isinstance(node.value, dict):
            self._kind(node, where, "SR111", "mapping")
            return None
        keys = Keys(node, where)
        for word in keys:
            if word not in valid:
                self.wrong(
                    f"{self._family}01",
                    keys.key(word),
                    f"unknown key {quoted(word)} in {where}",
                    suggestion(word, valid),
                )
        return keys

    def items(self, node: Node | None, what: str) -> list[Node]:
        """Return the items of a list; a single value counts as a list of one where it is a text."""
        if node is None:
            return []
        if isinstance(node.value, list):
            return [Node(*item) for item in node.value]
        if isinstance(node.value, str):
            return [node]
        self._kind(node, f"`{what}`", "SR112", "list")
        return []

    def text(self, node: Node, what: str) -> str | None:
        """Return a text, or None after recording that it is none."""
        if isinstance(node.value, str):
            return node.value
        self._kind(node, f"`{what}`", "SR113", "text")
        return None

    def path(self, node: Node, what: str) -> str | None:
        """Return a path; a relative one starts at the file that says it."""
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
        self.wrong(f"{self._family}05", node, f"unknown value {quoted(word)} of `{key}`", suggestion(word, valid))
        return None

    def seconds(self, keys: Keys, key: str, default: float, *, least: float = 0.0) -> float:
        """Return a number of seconds: ``30``, ``0.5``, ``30s``, ``5m``, ``1h``, ``2d``."""
        return float(self._number(keys, key, default, _SECONDS, "seconds, such as `30` or `5m`", least))

    def size(self, keys: Keys, key: str, default: int, *, least: int = 1) -> int:
        """Return a number of bytes: ``4096``, ``64KiB``, ``8MiB``."""
        return int(self._number(keys, key, default, _BYTES, "bytes, such as `4096` or `8MiB`", least))

    def count(self, keys: Keys, key: str, default: int, *, least: int = 0) -> int:
        """Return an integer."""
        return int(self._number(keys, key, default, ("",), "an integer", least, whole=True))

    def _number(
        self,
        keys: Keys,
        key: str,
        default: Any,
        units: Sequence[str],
        what: str,
        least: float,
        *,
        whole: bool = False,
    ) -> Any:
        node = keys.get(key)
        if node is None:
            return default
        word = self.text(node, key)
        if word is None:
            return default
        match = _NUMBER.match(word)
        unit = word[match.end() :].strip() if match else ""
        if (
            not match
            or len(word) > 40
            or unit not in units
            or (whole and match[0].lstrip("+-").replace("_", "").isdigit() is False)
        ):
            self.wrong(f"{self._family}03", node, f"`{key}` must be {what}, not {quoted(word)}")
            return default
        value = int(match[0]) if whole else float(match[0]) * _UNITS[unit]
        if not least <= value < float("inf"):
            self.wrong(f"{self._family}04", node, f"`{key}` must be at least {least:g}, not {quoted(word)}")
            return default
        return value

    def needed(self, keys: Keys, key: str, read: Callable[[Node, str], T | None]) -> T | None:
        """Return the value of a key that must be there."""
        node = keys.get(key)
        if node is None:
            self.wrong(f"{self._family}02", keys.node, f"{keys.where} has no `{key}`")
            return None
        return read(node, key)

    def given(self, keys: Keys, key: str, read: Callable[[Node, str], T | None]) -> T | None:
        """Return the value of a key that may be absent."""
        node = keys.get(key)
        return None if node is None else read(node, key)

    def one_of(self, node: Node, what: str, valid: Sequence[str]) -> tuple[str, Keys] | None:
        """Return which kind of thing a mapping describes: the one of its keys that is a kind.

        Args:
            node: the mapping.
            what: what messages call it: ``a source``.
            valid: the kinds.
        """
        if not isinstance(node.value, dict):
            self._kind(node, what, "SR111", "mapping")
            return None
        keys = Keys(node, what)
        kinds = [word for word in keys if word in valid]
        if len(kinds) == 1:
            return kinds[0], keys
        if kinds:
            self.wrong(
                f"{self._family}06",
                keys.key(kinds[1]),
                f"{what} is one of {listed(kinds)}, not several",
                "make two of it",
            )
            return None
        first = next(iter(keys), None)
        if first is None:
            self.wrong(f"{self._family}06", node, f"{what} is empty", f"it begins with one of {listed(valid)}")
        else:
            self.wrong(
                f"{self._family}06",
                keys.key(first),
                f"unknown kind of {what.partition(' ')[2]}: {quoted(first)}",
                suggestion(first, valid),
            )
        return None

    def _kind(self, node: Node, what: str, code: str, kind: str) -> None:
        if node.value is None:
            self.wrong("SR110", node, f"{what} needs a value", "write one, or leave the key out")
        else:
            self.wrong(code, node, f"{what} must be a {kind}, not {shape(node.value)}")


def shape(value: object) -> str:
    if value is None:
        return "null"
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a text"
