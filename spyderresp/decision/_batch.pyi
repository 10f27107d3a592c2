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
) -> tuple[list[bytes], int, str]: ...

TEXT: int
INTEGER: int
FLOAT: int
DOUBLE: int

_Cell: TypeAlias = tuple[int, tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None]]

@final
class TargetColumns:
    def __new__(cls, cells: list[_Cell | None], name: _Cell | None, kept: Any) -> TargetColumns: ...

class BatchReader:
    def __new__(cls, index: DecisionIndex, columns: ActionColumns) -> Self: ...

NULLABLE: tuple[str, ...]
"""Columns that may be null."""

@final
class ActionColumns:
    def __new__(cls, plan_builder: PlanBuilder) -> ActionColumns: ...
    @property
    def words(self) -> dict[str, tuple[str, ...]]: ...
    @property
    def memory(self) -> int: ...

@final
class BatchWorker(BatchReader):
    def __new__(cls, index: DecisionIndex, columns: ActionColumns) -> BatchWorker: ...
    @property
    def memory(self) -> int: ...

_Column: TypeAlias = tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None]

@final
class Batch:
    def __new__(cls, index: DecisionIndex, columns: ActionColumns, idle: list[BatchWorker]) -> Batch: ...
    @property
    def index(self) -> DecisionIndex: ...
    @property
    def rows(self) -> int: ...
    @property
    def outcome_count(self) -> int: ...
    def outcomes(self) -> bytes: ...
    def outcome_keys(self) -> list[bytes]: ...
    def outcome_shape(self, outcome: int) -> PlanShape: ...
    def add(
        self, rows: int, columns: list[tuple[_Column, ...]], scopes: list[tuple[int, int] | None]
    ) -> tuple[int, int, str] | None: ...
    def complete(self) -> None: ...
    def plan(self, row: int, cells: TargetColumns, place: int) -> ActionPlan: ...
    def plan_of(self, row: int, event: Mapping[str, Any]) -> ActionPlan: ...
    def count_actions(self) -> int: ...
    def action_places(self) -> tuple[bytes, bytes]: ...
    def write_actions(self, where: dict[str, int]) -> None: ...
