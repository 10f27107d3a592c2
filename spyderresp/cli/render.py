"""Diagnostics as text for people."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from spyderresp.cli.output import Paint, safe
from spyderresp.errors import Diagnostic

_COLOURS: Final = {"error": "red", "warning": "yellow", "note": "blue"}
DOCS: Final = "docs/codes"


def diagnostic_text(diagnostic: Diagnostic, paint: Paint) -> str:
    """Return a diagnostic with its source line, a caret, and its help."""
    colour = _COLOURS[diagnostic.level]
    head = paint(colour, f"{diagnostic.level}[{diagnostic.code}]")
    lines = [f"{paint('bold', safe(str(diagnostic.location)))}: {head}: {safe(diagnostic.message)}"]
    if diagnostic.source_line:
        before = diagnostic.source_line[: diagnostic.source_column - 1]
        meant = diagnostic.source_line[diagnostic.source_column - 1 :][: diagnostic.width]
        gutter = str(diagnostic.location.line)
        lines.append(paint("dim", f" {gutter} | ") + _shown(diagnostic.source_line))
        caret = " " * _columns(before) + paint(colour, "^" * max(1, _columns(meant)))
        lines.append(paint("dim", f" {' ' * len(gutter)} | ") + caret)
    if diagnostic.help:
        lines.append(f"   help: {safe(diagnostic.help)}")
    return "\n".join(lines)


def _shown(line: str) -> str:
    return safe(line.replace("\t", " "))


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes, once made safe."""
    return sum(_width(char) for char in _shown(text))


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pages(diagnostics: Iterable[Diagnostic]) -> str:
    """Return where the codes of these diagnostics are explained."""
    return ", ".join(f"{DOCS}/{code}.md" for code in sorted({item.code for item in diagnostics}))


def counted(diagnostics: Sequence[Diagnostic]) -> str:
    """Return how many there are of each level: ``1 error, 2 warnings``."""
    counts = [(level, sum(item.level == level for item in diagnostics)) for level in ("error", "warning", "note")]
    said = [f"{count} {level}{'s' if count > 1 else ''}" for level, count in counts if count]
    return ", ".join(said) or "no findings"
