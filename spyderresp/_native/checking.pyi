from typing import final

from spyderresp._native.tree import Tree
from spyderresp.findings import Findings
from spyderresp.source import Source

@final
class Checker:
    """Checks the nodes of one document and records what is wrong with them."""

    def __new__(cls, tree: Tree, source: Source, findings: Findings) -> Checker: ...
