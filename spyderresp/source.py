"""A policy text and its places: lines, columns, snippets."""

from __future__ import annotations

from functools import cached_property

from spyderresp.policies._document import LineTable

_SNIPPET_LIMIT = 240


class Source:
    """The text of one policy file, and where it came from."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @cached_property
    def lines(self) -> LineTable:
        """Where its lines begin."""
        return LineTable(self.text)

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column, both from 1, of the character at ``offset``."""
        return self.lines.position(offset)

    def snippet(self, offset: int, end: int) -> tuple[str, int, int]:
        """Return the line that holds ``offset``, the column in it from 1, and the number of columns up to ``end``.

        A long line is cut to a window about the place, so that a message stays readable.
        """
        line_number, column = self.position(offset)
        start, stop = self.lines.bounds(line_number)
        cut = max(0, column - 1 - _SNIPPET_LIMIT // 2) if stop - start > _SNIPPET_LIMIT else 0
        line = self.text[start + cut : min(stop, start + cut + _SNIPPET_LIMIT)].rstrip("\r\n\x85\u2028\u2029")
        column -= cut
        width = max(1, min(end - offset, len(line) - column + 1))
        return line, column, width
