from array import array
from typing import TypeAlias, final

from spyderresp._native.columns import _Texts
from spyderresp._native.index import DecisionIndex
from spyderresp._native.plan import PlanShape

_Column: TypeAlias = tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None]

@final
class Batch:
    """Decides rows of columns by one index, however it is replaced meanwhile. Columns are told as in columns.pyi."""

    def __new__(cls, index: DecisionIndex) -> Batch: ...
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
    def outcome(self, row: int) -> int:
        """Return which of the outcomes a row came to."""
    def shape(self, outcome: int) -> tuple[PlanShape, int]:
        """Return the shape of an outcome's plans, and the group of policies to which its rows are attributed."""
    def expand(self, starts: array[int], actions: array[int]) -> tuple[bytes, bytes]:
        """Return row and action of each planned action, as int64 and int32, given the actions of each outcome."""
