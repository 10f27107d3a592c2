"""Diagnostics as text for people."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from spyderresp.cli.output import Paint, safe
from spyderresp.errors import Diagnostic

_COLOURS: Final = {"error": "red", "warning": "yellow", "note": "blue"}
_TAB: Final = 4
_CUT: Final = "..."
_LEAST_ROOM: Final = 30
_LISTED_CODES: Final = 8
DOCS: Final = "docs/codes"


def diagnostic_text(diagnostic: Diagnostic, paint: Paint) -> str:
    """Return a diagnostic with its source line, a caret, and its help."""
    colour = _COLOURS[diagnostic.level]
    head = paint(colour, f"{diagnostic.level}[{diagnostic.code}]")
    lines = [f"{paint('bold', safe(str(diagnostic.location)))}: {head}: {safe(diagnostic.message)}"]
    if diagnostic.source_line:
        number = str(diagnostic.location.line)
        shown, before, meant = _window(diagnostic, paint.width - len(number) - 4)
        lines.append(paint("dim", f" {number} |") + f" {shown}".rstrip())
        lines.append(paint("dim", f" {' ' * len(number)} |") + f" {' ' * before}{paint(colour, '^' * meant)}")
    if diagnostic.help:
        lines.append(f"help: {safe(diagnostic.help)}")
    return "\n".join(lines)


class _Cell(NamedTuple):
    """One character of a source line, as a terminal shows it."""

    text: str
    columns: int


def _cells(line: str) -> Iterator[_Cell]:
    place = 0
    for char in line:
        text = " " * (_TAB - place % _TAB) if char == "\t" else safe(char)
        columns = len(text) if len(text) != 1 or text.isascii() else _columns(text)
        place += columns
        yield _Cell(text, columns)


def _columns(char: str) -> int:
    """Return how many columns a character takes: none where it joins the one before, two where it is wide."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _window(diagnostic: Diagnostic, room: int) -> tuple[str, int, int]:
    """Return the part of the source line that fits, the columns before the place in it, and those of the place."""
    cells = list(_cells(diagnostic.source_line))
    start = min(diagnostic.source_column - 1, len(cells))
    stop = min(start + diagnostic.width, len(cells))
    room = max(room, _LEAST_ROOM)
    first, last = 0, len(cells)
    if _width(cells) > room:
        # The place stays in sight, with what stands before it: up to a third of the room.
        first = start - _fitting(cells[:start][::-1], room // 3)
        last = first + _fitting(cells[first:], room - 2 * len(_CUT))
    head = _CUT if first else ""
    tail = _CUT if last < len(cells) else ""
    before = len(head) + _width(cells[first:start])
    meant = max(1, _width(cells[start : min(stop, last)]))
    return head + "".join(cell.text for cell in cells[first:last]) + tail, before, meant


def _fitting(cells: Sequence[_Cell], room: int) -> int:
    """Return how many of the first cells fit."""
    used = 0
    for count, cell in enumerate(cells):
        used += cell.columns
        if used > room:
            return count
    return len(cells)


def _width(cells: Sequence[_Cell]) -> int:
    return sum(cell.columns for cell in cells)


def pages(diagnostics: Iterable[Diagnostic]) -> str:
    """Return where the codes of these diagnostics are explained."""
    codes = sorted({item.code for item in diagnostics})
    if len(codes) == 1:
        return f"{DOCS}/{codes[0]}.md"
    listed = ", ".join(codes[:_LISTED_CODES])
    more = f" and {len(codes) - _LISTED_CODES} more" if len(codes) > _LISTED_CODES else ""
    return f"{DOCS}/CODE.md, for each of {listed}{more}"


def counted(diagnostics: Iterable[Diagnostic]) -> str:
    """Return how many there are of each level: ``1 error, 2 warnings``."""
    found = [item.level for item in diagnostics]
    counts = [(level, found.count(level)) for level in ("error", "warning", "note")]
    said = [plural(count, level) for level, count in counts if count]
    return ", ".join(said) or "no findings"


def plural(count: int, noun: str) -> str:
    """Return ``1 error`` or ``1,200 errors``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
