from collections.abc import Callable
from typing import final

from spyderresp.decision._batch import Batch
from spyderresp.decision._plan import PlanShape

@final
class Distinct:
    """Knows outcomes again from one batch to the next, as long as one index decides."""

    def numbers(self, batch: Batch, told: Callable[[PlanShape], int]) -> bytes:
        """Return the number of each of a batch's outcomes, as int32.

        ``told`` numbers an outcome that was not met before.
        """
