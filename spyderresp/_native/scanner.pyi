from typing_extensions import Self

from spyderresp._native.actions import ActionColumns
from spyderresp._native.index import DecisionIndex

class Scanner:
    """Reads keys out of columns, for one index; made as a Worker only."""

    def __new__(cls, index: DecisionIndex, columns: ActionColumns) -> Self: ...
