from typing import Any, TypeAlias, final

from spyderresp._native.columns import _Texts

TEXT: int
INTEGER: int
FLOAT: int
DOUBLE: int

_Cell: TypeAlias = tuple[int, tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None]]

@final
class RowCells:
    """What the rows of one record batch say of their events.

    Made from the cells of a target's identity, id, time, policy_uid and policy_name, each its kind and its column, or
    None where all are absent; the label that implies a namespace's name; and what keeps the columns alive. A column is
    told as in columns.pyi; the values of one of numbers lie where a dictionary's indices would.
    """

    def __new__(cls, cells: list[_Cell | None], name: _Cell | None, kept: Any) -> RowCells: ...
