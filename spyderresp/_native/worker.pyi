from typing import final

from spyderresp._native.actions import ActionColumns
from spyderresp._native.index import DecisionIndex
from spyderresp._native.scanner import Scanner

@final
class Worker(Scanner):
    """Decides rows of columns by one index, in one thread at a time, and remembers within bounds what it met."""

    def __new__(cls, index: DecisionIndex, columns: ActionColumns) -> Worker: ...
    @property
    def memory(self) -> int:
        """Bytes of its memos and its scratch."""
