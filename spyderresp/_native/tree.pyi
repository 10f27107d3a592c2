from typing import Any, final

from spyderresp._native.texts import Texts

@final
class Tree:
    """One document: what its author typed, and where."""

    def __new__(cls, source: str, texts: Texts) -> Tree: ...
    @property
    def empty(self) -> bool:
        """Whether the document is null."""
    def plain(self) -> Any:
        """Return the document as plain data: None, str, list and dict."""
    def nodes(self) -> tuple[Any, int, int]:
        """Return the document with its places: every node as what it is, and its start and end in the text.

        A scalar is its text, or None; a sequence is a list of nodes; a mapping is a dict from the text of a key to the
        key's own node and that of its value.
        """
