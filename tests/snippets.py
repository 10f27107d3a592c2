"""The Python snippets of README.md and docs. The snippets of a page are one program: each goes on from those before it.

A snippet runs and type-checks. One that begins with ```` ```python no_run ```` needs what a test does not have: it
type-checks only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Snippet(NamedTuple):
    """A snippet, and the mark after the name of its language: ``no_run``, or none."""

    mark: str
    code: str


def snippets(page: str) -> list[Snippet]:
    """Return the snippets of a page, named by its path from the root of the project."""
    found = re.findall(r"^```python([^\n]*)\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [Snippet(mark.strip(), code) for mark, code in found]


def pages() -> list[str]:
    """Return the pages that have snippets."""
    paths = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    return [name for path in paths if snippets(name := path.relative_to(ROOT).as_posix())]
