from typing import TypeAlias, final

from spyderresp._native.actions import ActionColumns
from spyderresp._native.columns import _Texts
from spyderresp._native.index import DecisionIndex
from spyderresp._native.plan import PlanShape
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
    def outcome(self, row: int) -> int:
        """Return which of the outcomes a row came to."""
    def shape(self, outcome: int) -> tuple[PlanShape, int]:
        """Return the shape of an outcome's plans, and the group of policies to which its rows are attributed."""
    def count_actions(self) -> int:
        """Return how many actions all rows have."""
    def write_actions(self, where: dict[str, int | dict[str, int]]) -> None:
        """Write the columns of all actions.

        Args:
            where: address of each column's first byte, 0 where it is not wanted: of ``row`` as int64; of ``action``,
                ``severity``, ``section``, ``disposition`` and ``priority`` as int8, of the others as int32; a byte an
                action of scratch, ``told``; and bitmaps, ``valid``, of those that may be null.
        """
