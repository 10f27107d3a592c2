from typing import final

from spyderresp.policies._document import Texts, Tree
from spyderresp.policies._model import Policy
from spyderresp.policies.diagnostics import Findings, Source

@final
class Checker:
    """Checks the nodes of one document and records what is wrong with them."""

    def __new__(cls, tree: Tree, source: Source, findings: Findings) -> Checker: ...

@final
class SelectorReader:
    """Reads the selectors of one document."""

    def __new__(cls, check: Checker) -> SelectorReader: ...

@final
class ResponseReader:
    """Reads the response of one policy document."""

    def __new__(cls, check: Checker, selectors: SelectorReader) -> ResponseReader: ...

@final
class PolicyReader:
    """Reads documents one after the other into policies; made for one load."""

    def __new__(cls, findings: Findings) -> PolicyReader: ...
    @property
    def policies(self) -> list[Policy]: ...
    @property
    def texts(self) -> Texts:
        """The texts of the load, for those who read them into trees."""
    def read(self, tree: Tree, source: Source) -> bool:
        """Read a document, or a list of them. Tell whether there was any document, or a faulty list."""

@final
class JsonWriter:
    """Writes one document."""

    def __new__(cls) -> JsonWriter: ...

def write_json(document: object) -> str:
    """Return a host's document as JSON text, indented by two: what its places are counted in.

    Raises:
        DocumentError: it holds what JSON does not have, or passes a limit; the message names the value.
    """
