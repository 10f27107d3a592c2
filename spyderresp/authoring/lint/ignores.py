"""Comments that suppress findings: ``# spyderresp: ignore[SR805] reason``, on the line or alone on the line before.

``# spyderresp: ignore-file[SR805] reason`` concerns the whole file. Errors cannot be ignored.
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
# The codes of findings about ignore comments; they cannot be ignored.
_OWN: Final = frozenset({"SR821", "SR822", "SR823"})


@dataclass(frozen=True, slots=True)
class Ignore:
    """An ignore comment.

    Attributes:
        codes: the codes to ignore.
        lines: the lines in which to ignore them; None: the whole file.
        start: the offset of the comment.
        end: the offset after its codes.
        reason: the reason that the author gives.
    """

    codes: tuple[str, ...]
    lines: frozenset[int] | None
    start: int
    end: int
    reason: str


def ignores(documents: Documents) -> tuple[Ignore, ...]:
    """Return the ignore comments of a text."""
    text = documents.source.text
    if _WORD not in text:
        return ()
    scalars = [span for node in documents.nodes for span in _scalars(node) if _WORD in text[slice(*span)]]
    comments = []
    for match in _COMMENT.finditer(text):
        if any(start <= match.start() < end for start, end in scalars):
            continue
        whole, codes, reason = match.groups()
        line = documents.source.position(match.start())[0]
        first = text.rfind("\n", 0, match.start()) + 1
        alone = not text[first : match.start()].strip()
        comments.append(
            Ignore(
                tuple(code.strip() for code in codes.split(",") if code.strip()),
                None if whole else frozenset({_next_line(documents, line) if alone else line}),
                match.start(),
                match.end(2) + 1,
                _COMMENT_IN_COMMENT.split(reason)[0].strip(" \t-:"),
            )
        )
    return tuple(comments)


def _next_line(documents: Documents, line: int) -> int:
    """Return the first line after this one that is no comment: several comments may concern one line."""
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


def apply_ignores(items: Iterable[Diagnostic], comments: tuple[Ignore, ...]) -> tuple[list[Diagnostic], list[Remark]]:
    """Return the findings of one file that are not ignored, and the findings about the comments themselves."""
    used: set[tuple[int, str]] = set()
    left = []
    for item in items:
        matching = [
            ignore
            for ignore in comments
            if item.code in ignore.codes
            and item.level != "error"
            and item.code not in _OWN
            and (ignore.lines is None or item.location.line in ignore.lines)
        ]
        used.update((ignore.start, item.code) for ignore in matching)
        # A comment without a reason has no effect: later, its author could not check whether it is still right.
        if not any(ignore.reason for ignore in matching):
            left.append(item)
    return left, list(_about(comments, used))


def _about(comments: tuple[Ignore, ...], used: set[tuple[int, str]]) -> Iterator[Remark]:
    for ignore in comments:
        if not ignore.reason:
            message = "an ignore needs a reason after its codes; without one it has no effect"
            hint = "add the reason: `# spyderresp: ignore[SR805] reason`"
            yield Remark("SR821", message, ignore.start, ignore.end, hint)
        for code in ignore.codes:
            if code not in CODES:
                message = f"{quoted(code)} is not a code"
                yield Remark("SR822", message, ignore.start, ignore.end, suggestion(code, CODES))
            elif CODES[code].level == "error" or code in _OWN:
                yield Remark("SR822", f"{quoted(code)} cannot be ignored", ignore.start, ignore.end)
            elif (ignore.start, code) not in used:
                message = f"there is no finding with {quoted(code)} here"
                yield Remark("SR823", message, ignore.start, ignore.end, "delete the code from the comment")
        if not ignore.codes:
            message = "an ignore must name the codes to ignore"
            yield Remark("SR822", message, ignore.start, ignore.end, "`# spyderresp: ignore[SR805] reason`")
