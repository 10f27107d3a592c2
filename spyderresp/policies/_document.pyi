from collections.abc import Callable
from typing import Any, final

@final
class Texts:
    """The texts of one load, each kept once."""

    def __new__(cls) -> Texts: ...
    def forget(self) -> None:
        """Let go of the keys met so far where they are many; only between two texts, when no tree is in use."""

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

@final
class LineTable:
    """Where the lines of a text begin."""

    def __new__(cls, text: str) -> LineTable: ...
    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column, both from 1, of the character at ``offset``."""
    def bounds(self, line: int) -> tuple[int, int]:
        """Return where a line, from 1, begins and where the next one does."""

@final
class JsonReader:
    """Reads one text."""

    def __new__(cls, text: str, texts: Texts, surrogates: bool) -> JsonReader: ...

def read_json(text: str, texts: Texts | None = None, *, surrogates: bool = False) -> Tree:
    """Return the one document of a JSON text. Numbers and booleans are kept as their JSON text.

    Args:
        text: a JSON text (RFC 8259).
        texts: the texts of the load.
        surrogates: accept lone surrogates in strings, as Python's own strings may hold them.

    Raises:
        NotJsonError: the text is not JSON.
        DocumentError: it is JSON, and has a duplicate key, a lone surrogate, or passes a limit.
    """

@final
class YamlBuilder:
    """Builds the documents of one YAML stream.

    Args:
        next: gives the next event of the stream.
        events: the module that holds the classes of events.
        text: the text of the stream.
        texts: the texts of the load.
        checked: whether the parser refuses lone surrogates itself.
        max_nodes: no stream may have more values.
        max_aliased: nor more through aliases.
    """

    def __init__(
        self,
        next: Callable[[], Any],
        events: Any,
        text: str,
        texts: Texts | None,
        *,
        checked: bool,
        max_nodes: int,
        max_aliased: int,
    ) -> None: ...
    def document(self) -> Tree | None:
        """Return the next document, or None at the end of the stream.

        Raises:
            DocumentError: it is no document of texts, lists and mappings, or passes a limit.
        """
