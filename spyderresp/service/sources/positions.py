"""How far followed files were read, kept in a small file beside the journal."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass
from typing import Final

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where everything of a followed file is decided.

    Attributes:
        device: with ``inode``, which file it is.
        inode: survives the file's renaming.
        head: a digest of its first bytes: an inode can be given to another file.
        head_size: how many bytes these are.
        offset: of the first byte that is not decided.
        line: the number of the line there.
        kept: when, in epoch seconds: what was rotated since was not read.
    """

    device: int
    inode: int
    head: str
    head_size: int
    offset: int
    line: int
    kept: float


class Positions:
    """Reads and writes them; every write is whole, and on the disk when it returns.

    Args:
        path: the file; None: nothing is kept.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._held: dict[str, tuple[Position, ...]] = {}
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read what an earlier process kept.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not what was written.
        """
        if self._path is None:
            return
        try:
            with open(self._path, encoding="utf-8") as file:
                said = json.load(file)
            if said["version"] != _VERSION:
                raise ValueError("it holds no positions that this version reads")
            self._held = {name: tuple(Position(**held) for held in kept) for name, kept in said["files"].items()}
        except FileNotFoundError:
            pass
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError):
            raise ValueError(
                "it holds no positions; without it, followed files are read from their beginning"
            ) from None

    def of(self, name: str) -> tuple[Position, ...]:
        """Return those of a followed path, by its absolute name: of the file there now last."""
        return self._held.get(name, ())

    def keep(self, name: str, positions: tuple[Position, ...]) -> None:
        """Write those of a followed path.

        Raises:
            OSError: it cannot be written; the old one stands.
        """
        if self._path is None:
            return
        with self._lock:
            self._held[name] = positions
            files = {name: [asdict(position) for position in held] for name, held in self._held.items()}
            other = f"{self._path}.new"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            with open(os.open(other, flags, 0o600), "w", encoding="utf-8") as file:
                json.dump({"version": _VERSION, "files": files}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(other, self._path)
