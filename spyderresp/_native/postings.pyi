"""Where to look, by what an event has: for the other native modules."""

class Postings:
    """Policies and entries by what they ask for."""

    def __new__(cls, texts: list[int], globs: list[int]) -> Postings: ...
    @property
    def count(self) -> int: ...
    @property
    def memory(self) -> int: ...
