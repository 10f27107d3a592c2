"""Shape checks on nodes that every part of the schema shares. A failed check records a finding and returns None."""

from __future__ import annotations

from collections.abc import Iterable

from spyderresp.document import Mapping, Node, Scalar, Sequence
from spyderresp.errors import Location
from spyderresp.findings import Findings, quoted, suggestion
from spyderresp.source import Source

TRUE = frozenset({"true", "yes", "on"})
FALSE = frozenset({"false", "no", "off"})


class Checker:
    """Checks the nodes of one text and records what is wrong with them."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self.source = source
        self.findings = findings

    def error(self, code: str, node: Node, message: str, help: str = "") -> None:
        """Record a finding about a node; its level is the code's."""
        self.findings.at(node, code, message, self.source, help)

    def location(self, node: Node) -> Location:
        """Return where a node begins."""
        return Location(self.source.path, *self.source.position(node.start))

    def text(self, node: Node, what: str) -> str | None:
        """Return the text of a scalar; null is an error."""
        if isinstance(node, Scalar):
            if node.text is not None:
                return node.text
            self.error("SR110", node, f"`{what}` needs a value", help="write one, or leave the key out")
        else:
            self.error("SR113", node, f"`{what}` must be a text, not {_shape(node)}")
        return None

    def mapping(self, node: Node, what: str) -> Mapping | None:
        """Return a mapping; null is an error."""
        if isinstance(node, Mapping):
            return node
        if isinstance(node, Scalar) and node.text is None:
            self.error("SR110", node, f"`{what}` needs a mapping and null is written")
        else:
            self.error("SR111", node, f"`{what}` must be a mapping, not {_shape(node)}")
        return None

    def items(self, node: Node | None, what: str) -> tuple[Node, ...] | None:
        """Return the items of an optional list; missing and null mean empty."""
        if node is None or (isinstance(node, Scalar) and node.text is None):
            return ()
        if isinstance(node, Sequence):
            return node.items
        self.error("SR112", node, f"`{what}` must be a list, not {_shape(node)}", help="begin each item with `- `")
        return None

    def boolean(self, node: Node, what: str) -> bool | None:
        """Return a boolean, in any of YAML's spellings."""
        if isinstance(node, Scalar) and node.text is not None:
            word = node.text
            if word.lower() in TRUE | FALSE and word in (word.lower(), word.upper(), word.capitalize()):
                return word.lower() in TRUE
        shown = quoted(node.text) if isinstance(node, Scalar) and node.text is not None else _shape(node)
        self.error("SR114", node, f"`{what}` must be true or false, not {shown}")
        return None

    def choice(self, node: Node, what: str, valid: Iterable[str], code: str) -> str | None:
        """Return a text that is one of ``valid``."""
        text = self.text(node, what)
        if text is None or text in valid:
            return text
        self.error(code, node, f"unknown {what} {quoted(text)}", help=suggestion(text, valid))
        return None

    def keys(self, mapping: Mapping, valid: Iterable[str], code: str, where: str) -> bool:
        """Record an error for each key that is not one of ``valid``; tell whether there was none."""
        fine = True
        valid = tuple(valid)
        for key, _ in mapping.pairs():
            if key.text not in valid:
                fine = False
                self.error(
                    code, key, f"unknown key {quoted(key.text or '')} in {where}", suggestion(key.text or "", valid)
                )
        return fine


def _shape(node: Node) -> str:
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    return "null" if node.text is None else "a text"
