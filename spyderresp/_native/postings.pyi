"""Where to look, by what an event has: for the other native modules."""

from typing_extensions import Self

class Postings:
    """Policies and entries by what they ask for."""

    def __new__(cls, texts: list[int], globs: list[int]) -> Self: ...
    @property
    def count(self) -> int: ...
    @property
    def memory(self) -> int: ...
