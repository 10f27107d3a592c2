"""What processors did."""

from __future__ import annotations

import os
from pathlib import Path


def processors() -> float:
    """Return the seconds of processors that this process and all below it have had, those that ended among them."""
    parents, spent = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            spent[int(entry.name)] = sum(map(int, fields[11:15]))
    known = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in known} - known:
        known |= more
    return sum(spent.get(pid, 0) for pid in known) / os.sysconf("SC_CLK_TCK")
