from collections.abc import Iterable
from typing import final

@final
class TextTable:
    """Texts to numbers, for lookups without Python objects. Immutable."""

    def __new__(cls, texts: Iterable[str], places: Iterable[int]) -> TextTable: ...
    @property
    def count(self) -> int:
        """Number of texts."""
    @property
    def memory(self) -> int:
        """Bytes that the table takes."""
    def get(self, value: str) -> int | None:
        """Return the place of a text, or None where it was not added."""
