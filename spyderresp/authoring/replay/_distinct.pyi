from collections.abc import Callable
from typing import final

from spyderresp.decision._batch import Batch
from spyderresp.decision._plan import PlanShape

@final
class Distinct:
    def numbers(self, batch: Batch, told: Callable[[PlanShape], int]) -> bytes: ...
