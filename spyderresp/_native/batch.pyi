from collections.abc import Mapping
from typing import Any, TypeAlias, final

from spyderresp._native.actions import ActionColumns
from spyderresp._native.cells import RowCells
from spyderresp._native.columns import _Texts
from spyderresp._native.index import DecisionIndex
from spyderresp._native.plan import ActionPlan, PlanShape
from spyderresp._native.worker import Worker

_Column: TypeAlias = tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None]

@final
class Batch:
    """Decides rows of columns by one index, however it is replaced meanwhile. Columns are told as in columns.pyi.

    A worker is taken from those that are idle, or made; ``complete()`` gives it back, and rows can be added no more.
    """

    def __new__(cls, index: DecisionIndex, columns: ActionColumns, idle: list[Worker]) -> Batch: ...
    @property
    def index(self) -> DecisionIndex: ...
    @property
    def rows(self) -> int:
        """How many have been decided."""
    @property
    def outcome_count(self) -> int: ...
    def outcomes(self) -> bytes:
        """Return the number of every row's outcome, each an int32."""
    def outcome_shape(self, outcome: int) -> PlanShape:
        """Return what the plans of an outcome's rows share."""
    def add(
        self, rows: int, columns: list[tuple[_Column, ...]], scopes: list[tuple[int, int] | None]
    ) -> tuple[int, int, str] | None:
        """Decide more rows.

        Args:
            rows: how many.
            columns: of each attribute, policy_uid and policy_name: the column, and one to read where it has nothing.
            scopes: validity of each; None where it has no column.

        Returns:
            What is wrong with the columns: the place of the column, the row, and what it is. Its rows are not decided.
        """
    def complete(self) -> None: ...
    def plan(self, row: int, cells: RowCells, place: int) -> ActionPlan:
        """Return the plan of a row, which is one of the cells' rows."""
    def plan_of(self, row: int, event: Mapping[str, Any]) -> ActionPlan:
        """Return the plan of a row, given its event.

        Raises:
            EventError: the event is malformed where it is checked.
        """
    def count_actions(self) -> int:
        """Return how many actions all rows have."""
    def write_actions(self, where: dict[str, int]) -> None:
        """Write the columns of all actions.

        Args:
            where: address of each column's first byte: of ``row`` as int64; of ``action``, ``severity``, ``section``,
                ``disposition`` and ``priority`` as int8, of the others as int32; and of the bitmap of each column that
                may be null, under ``valid`` and its name. Texts' columns and bitmaps may be missing.
        """
