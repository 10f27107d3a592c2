"""Shapes that are remembered by what fired: for the other native modules."""

from typing import final

@final
class FiredMemo:
    """Shapes by what fired."""

    def __new__(cls, places: int, most: int) -> FiredMemo: ...
    @property
    def weight(self) -> int: ...
    @property
    def used(self) -> int: ...
