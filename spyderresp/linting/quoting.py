"""Globs that stand unquoted where YAML reads something else: an alias, or a list with text behind it."""

from __future__ import annotations

import re
from typing import Final

from spyderresp.errors import Diagnostic, Edit, Fix
from spyderresp.loading import Reading, read_text
from spyderresp.source import Source

_CODES: Final = ("SR007", "SR013")
#: Codes before it are about the text itself; where one is found nothing behind it is read.
_FIRST_OF_MEANING: Final = "SR100"
_PART: Final = r"(?:\[[^\s\[\]{},'\"#]*\]|[^\s,\[\]{}#'\"])"
_GLOB: Final = re.compile(rf"(?:\*|\[[^\s\[\]{{}},'\"#]+\]){_PART}*(?:[ \t]+{_PART}+)*")
_BEFORE: Final = re.compile(r"(?:: |- |\[|, )[ \t]*$")
_CLASS_BEFORE: Final = re.compile(r"(?:: |- )[ \t]*(\[[^\s\[\]{},'\"#]+\])$")
_TAG_BEFORE: Final = re.compile(r"(?:: |- )[ \t]*(\[![^\s\[\]{},'\"#]+)$")
_NAME: Final = re.compile(r"\*[\w-]+")
_ANCHOR: Final = re.compile(r"(?:^|[\s\[{,])&[\w-]+", re.MULTILINE)


def with_quotes(item: Diagnostic, source: Source) -> Diagnostic:
    """Return an error with its fix where a glob stands unquoted, and the text can be read on once it is quoted."""
    if item.code not in _CODES or item.fix is not None or not item.location.line:
        return item
    glob = _glob(source, item.location.line, item.location.column)
    if glob is None:
        return item
    start, typed = glob
    fix = Fix("quote it", (Edit(start, start + len(typed), f"'{typed}'"),))
    text = source.text
    edited = f"{text[:start]}'{typed}'{text[start + len(typed) :]}"
    return item._replace(fix=fix) if reads_on(item, read_text(edited, path=source.path)) else item


def _glob(source: Source, line: int, column: int) -> tuple[int, str] | None:
    """Return where the glob begins that an error speaks of, and the glob as it is typed."""
    text = source.text
    first = source.lines.bounds(line)[0]
    start = first + column - 1
    # `[a-z]*` is refused where the list has ended, `[!a]` where what may be a tag has.
    behind = _CLASS_BEFORE.search(text[first:start]) or _TAG_BEFORE.search(text[first:start])
    if behind is not None:
        start = first + behind.start(1)
    elif not _BEFORE.search(text[first:start]):
        return None
    match = _GLOB.match(text, start)
    if match is None:
        return None
    typed = match.group()
    if ": " in typed or typed.endswith(":"):
        return None
    if _NAME.fullmatch(typed) and _ANCHOR.search(text):
        # Its author knows anchors, and may have misspelt one.
        return None
    return start, typed


def reads_on(item: Diagnostic, after: Reading) -> bool:
    """Tell whether a text with this error, once edited, is read past its place. What it then says may be wrong, too."""
    place = item.location[1:]
    found = [(other.location[1:], other.code) for other in after.findings.items if other.level == "error"]
    return all(there != place and (code >= _FIRST_OF_MEANING or there > place) for there, code in found)
