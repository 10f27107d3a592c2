from typing import final

@final
class LineTable:
    """Where the lines of a text begin."""

    def __new__(cls, text: str) -> LineTable: ...
    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column, both from 1, of the character at ``offset``."""
    def bounds(self, line: int) -> tuple[int, int]:
        """Return where a line, from 1, begins and where the next one does."""
