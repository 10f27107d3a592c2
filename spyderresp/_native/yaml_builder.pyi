from collections.abc import Callable
from typing import Any, final

from spyderresp._native.texts import Texts
from spyderresp._native.tree import Tree

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
