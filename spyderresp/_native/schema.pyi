from typing import final

from spyderresp._native.policy import Policy
from spyderresp._native.texts import Texts
from spyderresp._native.tree import Tree
from spyderresp.findings import Findings
from spyderresp.source import Source

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
