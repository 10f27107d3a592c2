"""Every decision record has a status and a date, and the index lists them all."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs/decisions"
TITLE = re.compile(r"# (\d+)[.:] (.+)")
STATUS = re.compile(
    r"^Status: (accepted|superseded by \[\d{4}\]\(\S+\.md\))[^\n]*\. Date: (\d{4}-\d\d-\d\d)\.$", re.MULTILINE
)


def test_the_index_lists_every_record_with_its_status() -> None:
    rows = []
    for path in sorted(FOLDER.glob("0*.md")):
        text = path.read_text("utf-8")
        title, status = TITLE.match(text), STATUS.search(text)
        assert title is not None, path
        assert status is not None, path
        assert int(title[1]) == int(path.name[:4])
        rows.append(f"| {path.name[:4]} | [{title[2]}]({path.name}) | {status[1]} | {status[2]} |")
    index = (FOLDER / "README.md").read_text("utf-8")
    assert [line for line in index.splitlines() if line.startswith("| 0")] == rows
