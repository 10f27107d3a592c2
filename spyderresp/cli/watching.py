"""Doing something again whenever files change, by looking at them now and then."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from spyderresp.findings import Findings
from spyderresp.loading import walk

_EVERY: Final = 0.3


def watched(act: Callable[[], Iterable[str]], *, sleep: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """Act, wait until a file changes, yield its path, and so on.

    Args:
        act: does the work; returns the files and directories to watch from then on.
        sleep: waits for some seconds; raises KeyboardInterrupt where it is to end.
    """
    while True:
        began = time.time_ns()
        paths = tuple(act())
        before = look(paths)
        # What changed while the work was done, after it was read perhaps.
        changed = next((path for path, sign in before.items() if sign is not None and sign[0] > began), None)
        while changed is None:
            sleep(_EVERY)
            now = look(paths)
            changed = next((path for path in sorted({*before, *now}) if before.get(path) != now.get(path)), None)
        yield changed


def look(paths: Iterable[str]) -> dict[str, tuple[int, int, int] | None]:
    """Return each file that there is, with what changes when it does."""
    names = (name for path in paths for name in (walk(path, Findings()) if os.path.isdir(path) else [path]))
    return {name: _sign(name) for name in names}


def _sign(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
