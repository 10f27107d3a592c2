"""Batches of Arrow columns, and how a column is passed to native code.

A column is passed as ``(texts, validities, indices)``. Addresses are of the buffers' first byte, 0 where there is none:

- texts: ``(offsets, large, data, bytes of data, first, count, validity)``, or None where all are absent;
- validities, of every level: ``(bits, first bit)``;
- indices: ``(address, width, first)``, the width in bytes and negative where signed; or None where plain.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias, final

from typing_extensions import Self

from spyderresp.decision._hash_tables import TextTable
from spyderresp.decision._index import DecisionIndex
from spyderresp.decision._plan import ActionPlan, PlanBuilder, PlanShape

_Texts: TypeAlias = tuple[int, bool, int, int, int, int, tuple[int, int]]
FAULTS: dict[int, str]
"""What can be wrong with a column."""

_Told: TypeAlias = tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None]

def pick(
    rows: int,
    offsets: tuple[int, int],
    valid: tuple[int, int],
    keys: _Told,
    items: _Told,
    entries: int,
    wanted: TextTable,
) -> tuple[list[bytes], int, str]:
    """Find, in a column of maps, the item of each wanted key. The last of equal keys counts.

    Args:
        rows: how many.
        offsets: (address, first) of the maps' offsets, of int32.
        valid: which maps are not null.
        keys: the column of all keys.
        items: the column of all items.
        entries: how many these are.
        wanted: the keys, with their numbers from 0.

    Returns:
        For each key an array of int64 by row: the place among the items' texts, negative where absent; then the row in
        which something is wrong, or -1, and what it is.
    """

TEXT: int
INTEGER: int
FLOAT: int
DOUBLE: int

_Cell: TypeAlias = tuple[int, tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None]]

@final
class TargetColumns:
    """What the rows of one record batch say of their events.

    Made from the cells of a target's identity, id, time, policy_uid and policy_name, each its kind and its column, or
    None where all are absent; the label that implies a namespace's name; and what keeps the columns alive. A column is
    described at the head of this stub; the values of one of numbers lie where a dictionary's indices would.
    """

    def __new__(cls, cells: list[_Cell | None], name: _Cell | None, kept: Any) -> TargetColumns: ...

class BatchReader:
    """Reads keys out of columns, for one index; made only as a BatchWorker."""

    def __new__(cls, index: DecisionIndex, columns: ActionColumns) -> Self: ...

NULLABLE: tuple[str, ...]
"""Columns that may be null."""

@final
class ActionColumns:
    """What every entry of a policy set says, as numbers: the columns of a batch's actions are made of it."""

    def __new__(cls, plan_builder: PlanBuilder) -> ActionColumns: ...
    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """The texts of each column of texts, by its name."""
    @property
    def memory(self) -> int:
        """Bytes, the texts apart."""

@final
class BatchWorker(BatchReader):
    """Decides rows of columns by one index, in one thread at a time, and remembers within bounds what it met."""

    def __new__(cls, index: DecisionIndex, columns: ActionColumns) -> BatchWorker: ...
    @property
    def memory(self) -> int:
        """Bytes of its memos and its scratch."""

_Column: TypeAlias = tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None]

@final
class Batch:
    """Decides rows of columns by one index, however it is replaced meanwhile. The head of this stub describes columns.

    A worker is taken from those that are idle, or made; ``complete()`` gives it back, and rows can be added no more.
    """

    def __new__(cls, index: DecisionIndex, columns: ActionColumns, idle: list[BatchWorker]) -> Batch: ...
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
    def plan(self, row: int, cells: TargetColumns, place: int) -> ActionPlan:
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
