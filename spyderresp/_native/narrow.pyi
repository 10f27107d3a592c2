from typing import final

from spyderresp._native.index import DecisionIndex
from spyderresp._native.plan import ActionPlan

@final
class Narrow:
    """Decides JSON texts of which, where it can, only what the policy set names is read."""

    def __new__(cls, index: DecisionIndex) -> Narrow: ...
    @property
    def index(self) -> DecisionIndex: ...
    def evaluate(self, data: bytes | bytearray | memoryview | str) -> ActionPlan:
        """Return the plan for one event as JSON text; bytes are UTF-8.

        Raises:
            EventError: the text is not JSON, or the event is malformed where it is checked.
        """
