"""Collects the diagnostics of one load, and carries the places they speak of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cached_property
from typing import Final

from spyderresp.errors import Diagnostic, Fix, Location, SpyderrespError
from spyderresp.policies._document import LineTable
from spyderresp.policies.codes import CODES
from spyderresp.policies.document_limits import DocumentError

# A policy text and its places: lines, columns, snippets.

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


MAX_ERRORS: Final = 10_000
_SHOWN_TEXT: Final = 80


class TooManyFindingsError(SpyderrespError):
    """The load has passed ``MAX_ERRORS``; it ends here."""


class Findings:
    """The diagnostics of one load. One object is made for a load, and is not shared."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.items: list[Diagnostic] = []
        self.errors = 0

    def add(
        self,
        code: str,
        message: str,
        source: Source,
        start: int | None = None,
        end: int | None = None,
        help: str = "",
        fix: Fix | None = None,
    ) -> None:
        """Record a finding; ``start`` is None for a finding about the whole text."""
        kind = CODES[code]
        level = "error" if kind.repair and self.strict else kind.level
        if start is None:
            diagnostic = Diagnostic(code, level, message, Location(source.path, 0, 0), help)
        else:
            line, column = source.position(start)
            snippet, shown, width = source.snippet(start, end if end is not None else start + 1)
            diagnostic = Diagnostic(
                code, level, message, Location(source.path, line, column), help, snippet, shown, width, fix
            )
        self._append(diagnostic)

    def about_path(self, code: str, message: str, path: str, help: str = "") -> None:
        """Record a finding about a path of which there is no text."""
        self._append(Diagnostic(code, CODES[code].level, message, Location(path, 0, 0), help))

    def unreadable(self, error: DocumentError, source: Source) -> None:
        """Record why a text could not be made into nodes."""
        self.add(error.code, error.message, source, error.start, error.end, error.help)

    def sort_since(self, count: int) -> None:
        """Put the findings after the first ``count`` in the order of their places; they are of one text."""
        self.items[count:] = sorted(self.items[count:], key=lambda item: item.location[1:])

    def _append(self, diagnostic: Diagnostic) -> None:
        self.items.append(diagnostic)
        if diagnostic.level != "error":
            # However many: a large set may well earn a note a policy.
            return
        self.errors += 1
        if self.errors >= MAX_ERRORS:
            where = diagnostic.location
            message = f"more than {MAX_ERRORS:,} errors; reading stopped here"
            self.items.append(Diagnostic("SR020", "error", message, where))
            self.errors += 1
            raise TooManyFindingsError


def quoted(text: str) -> str:
    """Return the author's text in backticks, cut to a readable length."""
    return f"`{text if len(text) <= _SHOWN_TEXT else text[:_SHOWN_TEXT] + '...'}`"


def listed(words: Iterable[str]) -> str:
    """Return words in backticks, comma between."""
    return ", ".join(f"`{word}`" for word in words)


def suggestion(word: str, valid: Iterable[str]) -> str:
    """Return ``did you mean ...?`` for the nearest valid word, or the list of all valid ones."""
    candidates = list(valid)
    folded = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(word[:200].lower(), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{folded[near[0]]}`?"
    return f"valid here: {listed(candidates)}"
