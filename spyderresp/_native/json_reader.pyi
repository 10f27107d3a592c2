from typing import final

from spyderresp._native.texts import Texts
from spyderresp._native.tree import Tree

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
