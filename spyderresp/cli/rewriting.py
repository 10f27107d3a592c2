"""Files that are rewritten whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

_BOM: Final = b"\xef\xbb\xbf"


class ChangedError(Exception):
    """A file does not hold what it was read as."""


def rewrite(path: Path, before: str, after: str) -> None:
    """Put a text into the place of another: its mark at the beginning, its mode and its links stay.

    Raises:
        ChangedError: the file holds another text by now.
        OSError: it cannot be written; the old text stands.
    """
    # A link keeps leading to the file; the file is what changes.
    real = path.resolve(strict=True)
    held = real.read_bytes()
    mark = _BOM if held.startswith(_BOM) else b""
    # Several marks, or one inside: reading takes off all at the beginning, so they are counted as they stand.
    while held[len(mark) :].startswith(_BOM):
        mark += _BOM
    if held != mark + before.encode():
        raise ChangedError
    status = real.stat()
    descriptor, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(mark + after.encode())
            file.flush()
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        os.replace(name, real)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
