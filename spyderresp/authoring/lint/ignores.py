"""Comments that take findings back: ``# spyderresp: ignore[SR805] reason``, on the line or alone on the line before it.

``# spyderresp: ignore-file[SR805] reason`` speaks of the whole file. Errors cannot be ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from spyderresp.authoring.lint.documents import Documents, Node
from spyderresp.authoring.lint.subject import Remark
from spyderresp.errors import Diagnostic
from spyderresp.policies.codes import CODES
from spyderresp.policies.diagnostics import quoted, suggestion

_COMMENT: Final = re.compile(
    r"(?:(?<=\s)|^)#\s*spyderresp:\s*ignore(-file)?\s*\[([^\]\r\n]*)\][ \t]*([^\r\n]*)", re.MULTILINE
)
_COMMENT_IN_COMMENT: Final = re.compile(r"(?:^|\s)#")
_WORD: Final = "spyderresp:"
#: What is said of the ignores themselves is not ignored.
_OWN: Final = frozenset({"SR821", "SR822", "SR823"})


@dataclass(frozen=True, slots=True)
class Ignore:
    """One comment.

    Attributes:
        codes: which findings it takes back.
        lines: of which lines; None for the whole file.
        start: where it is.
        end: where its codes end.
        reason: what its author says.
    """

    codes: tuple[str, ...]
    lines: frozenset[int] | None
    start: int
    end: int
    reason: str


def ignores(documents: Documents) -> tuple[Ignore, ...]:
    """Return the comments of a text that take findings back."""
    text = documents.source.text
    if _WORD not in text:
        return ()
    inside = [span for node in documents.nodes for span in _scalars(node) if _WORD in text[slice(*span)]]
    found = []
    for match in _COMMENT.finditer(text):
        if any(start <= match.start() < end for start, end in inside):
            continue
        whole, codes, reason = match.groups()
        line = documents.source.position(match.start())[0]
        first = text.rfind("\n", 0, match.start()) + 1
        alone = not text[first : match.start()].strip()
        found.append(
            Ignore(
                tuple(code.strip() for code in codes.split(",") if code.strip()),
                None if whole else frozenset({_next_line(documents, line) if alone else line}),
                match.start(),
                match.end(2) + 1,
                _COMMENT_IN_COMMENT.split(reason)[0].strip(" \t-:"),
            )
        )
    return tuple(found)


def _next_line(documents: Documents, line: int) -> int:
    """Return the first line after this one that is no comment: several may stand above one finding."""
    lines = documents.source.text.split("\n")
    while line < len(lines) and lines[line].lstrip().startswith("#"):
        line += 1
    return line + 1


def _scalars(node: Node) -> Iterator[tuple[int, int]]:
    value, start, end = node
    if isinstance(value, str):
        yield start, end
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    elif isinstance(value, dict):
        for key, below in value.values():
            yield key[1], key[2]
            yield from _scalars(below)


def kept(found: Iterable[Diagnostic], held: tuple[Ignore, ...]) -> tuple[list[Diagnostic], list[Remark]]:
    """Return the findings of one file that nothing takes back, and what is to be said of the comments themselves."""
    used: set[tuple[int, str]] = set()
    left = []
    for item in found:
        takers = [
            ignore
            for ignore in held
            if item.code in ignore.codes
            and item.level != "error"
            and item.code not in _OWN
            and (ignore.lines is None or item.location.line in ignore.lines)
        ]
        used.update((ignore.start, item.code) for ignore in takers)
        # Without a reason it is not taken back: nobody could say later whether it still holds.
        if not any(ignore.reason for ignore in takers):
            left.append(item)
    return left, list(_about(held, used))


def _about(held: tuple[Ignore, ...], used: set[tuple[int, str]]) -> Iterator[Remark]:
    for ignore in held:
        if not ignore.reason:
            message = "an ignore needs a reason after its codes; without one it counts for nothing"
            yield Remark("SR821", message, ignore.start, ignore.end, "say why: `# spyderresp: ignore[SR805] reason`")
        for code in ignore.codes:
            if code not in CODES:
                message = f"{quoted(code)} is not a code"
                yield Remark("SR822", message, ignore.start, ignore.end, suggestion(code, CODES))
            elif CODES[code].level == "error" or code in _OWN:
                yield Remark("SR822", f"{quoted(code)} cannot be ignored", ignore.start, ignore.end)
            elif (ignore.start, code) not in used:
                message = f"nothing here is found with {quoted(code)}"
                yield Remark("SR823", message, ignore.start, ignore.end, "take it away")
        if not ignore.codes:
            message = "an ignore names the codes that it means"
            yield Remark("SR822", message, ignore.start, ignore.end, "`# spyderresp: ignore[SR805] reason`")
