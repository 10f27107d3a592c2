from typing import final

from spyderresp.policies._document import Texts, Tree
from spyderresp.policies._model import Policy
from spyderresp.policies.diagnostics import Findings, Source

@final
class Checker:
    def __new__(cls, tree: Tree, source: Source, findings: Findings) -> Checker: ...

@final
class SelectorReader:
    def __new__(cls, check: Checker) -> SelectorReader: ...

@final
class ResponseReader:
    def __new__(cls, check: Checker, selectors: SelectorReader) -> ResponseReader: ...

@final
class PolicyReader:
    def __new__(cls, findings: Findings) -> PolicyReader: ...
    @property
    def policies(self) -> list[Policy]: ...
    @property
    def texts(self) -> Texts: ...
    def read(self, tree: Tree, source: Source) -> bool: ...

@final
class JsonWriter:
    def __new__(cls) -> JsonWriter: ...

def write_json(document: object) -> str: ...
