"""A file that grows: rotation and truncation are survived, and a restart goes on where everything was decided.

What was renamed away is read on for a while: its writer may not know yet. Found again by device, inode and first
bytes, wherever it went in its directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Final, Literal

from spyderresp.events.records import MAX_LINE, LineChunk, LineSplitter
from spyderresp.service.intake import ClosedError, Delivery, DeliveryResult, Intake
from spyderresp.service.metrics import ServiceObserver
from spyderresp.service.sources.base import SourceError, Stop

# How far followed files were read, kept in a small file beside the journal.

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


# Standard input, a pipe, or a file that is read once to its end.

_CHUNK: Final = 1 << 18


class Stream:
    """Reads JSON lines from a file or a pipe, to its end, as they come.

    Args:
        path: the file; None: standard input.
        max_line: the most bytes of a line.
    """

    def __init__(self, path: str | None, max_line: int = MAX_LINE) -> None:
        self._path = path
        self._max_line = max_line
        self._descriptor = -1

    @property
    def name(self) -> str:
        return "<stdin>" if self._path is None else self._path

    def open(self) -> None:
        if self._path is None:
            self._descriptor = 0
            return
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            if stat.S_ISDIR(os.fstat(self._descriptor).st_mode):
                raise IsADirectoryError(21, "Is a directory")
        except (OSError, ValueError) as error:
            raise SourceError(f"{self._path}: {reason_of(error)}") from None

    def run(self, intake: Intake, stop: Stop) -> None:
        cutter = LineSplitter(self._max_line)
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        waiting.register(stop.descriptor, select.POLLIN)
        try:
            while True:
                waiting.poll()
                if stop.called:
                    return
                chunk = os.read(self._descriptor, _CHUNK)
                piece = cutter.feed(chunk) if chunk else cutter.end()
                if piece is not None:
                    intake.put(self._delivery(piece))
                if not chunk:
                    return
        except OSError as error:
            raise SourceError(f"{self.name}: {reason_of(error)}") from None
        except ClosedError:
            return

    def _delivery(self, piece: LineChunk) -> Delivery:
        kind = "stdin" if self._path is None else "file"
        return Delivery(
            self.name, piece.data, time.time(), None, piece.first, piece.long, limit=self._max_line, kind=kind
        )

    def close(self) -> None:
        if self._descriptor > 0:
            os.close(self._descriptor)
        self._descriptor = -1


def reason_of(error: Exception) -> str:
    """Return why something failed, in lower case."""
    text = getattr(error, "strerror", None) or str(error) or "it failed"
    return text[:1].lower() + text[1:]


_HEAD: Final = 1024
_POLL: Final = 0.1
# How often positions are written at most, and how long a file that was renamed away may be quiet, in seconds.
_KEEP: Final = 0.5
_LINGER: Final = 10.0
# File times are those of the last tick of the kernel's clock.
_COARSE: Final = 0.02
_REMEMBERED: Final = 1000
_COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst")


class Followed:
    """Follows a path for as long as it is let.

    Args:
        path: the file; it may come into being later.
        positions: where to go on; told as events are decided.
        observer: receives a message when a rotation lost lines, and the like.
        start: where to begin in a file of which no position is known.
        max_line: the most bytes of a line.
        linger: for how many quiet seconds a file that was renamed away is read on.
    """

    def __init__(
        self,
        path: str,
        positions: Positions,
        observer: ServiceObserver,
        *,
        start: Literal["beginning", "end"] = "beginning",
        max_line: int = MAX_LINE,
        linger: float = _LINGER,
    ) -> None:
        self._path = path
        self._key = os.path.abspath(path)
        self._positions = positions
        self._observer = observer
        self._start = start
        self._max_line = max_line
        self._linger = linger
        # Oldest first; the one at the path, where there is one, is the last.
        self._files: list[_File] = []
        self._kept: tuple[Position, ...] = ()
        self._next_keep = 0.0
        self._missing = False
        self._unkept = False
        # What was rotated since then is read; files that were read to their end are not read again.
        self._since = time.time() - _COARSE
        self._done: OrderedDict[tuple[int, int], None] = OrderedDict()

    @property
    def name(self) -> str:
        return self._path

    def open(self) -> None:
        try:
            if stat.S_ISDIR(os.stat(self._path).st_mode):
                raise SourceError(f"{self._path}: is a directory")
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError) as error:
            raise SourceError(f"{self._path}: {reason_of(error)}") from None
        self._kept = self._positions.of(self._key)
        if self._kept:
            self._resume()

    def run(self, intake: Intake, stop: Stop) -> None:
        # Only a file that is there from the start has an old part to pass over.
        with contextlib.suppress(ClosedError):
            if not self._files:
                self._look(at_end=self._start == "end")
            while not stop.called:
                # The oldest first: what came before is decided before.
                busy = any(file.read(intake, self._observer) for file in self._files)
                self._look()
                self._let_go(intake)
                if time.monotonic() >= self._next_keep:
                    self._keep()
                if not busy and stop.wait(_POLL):
                    break

    def close(self) -> None:
        self._keep()
        for file in self._files:
            file.close()
        self._files = []

    def _look(self, *, at_end: bool = False) -> None:
        """Open what stands at the path, if it is another file than before."""
        try:
            status = os.stat(self._path)
        except OSError as error:
            if not self._missing:
                self._missing = True
                self._observer.say("warning", f"{self._path}: {reason_of(error)}; waiting for it")
            return
        if any(file.is_at(status) for file in self._files):
            self._missing = False
            return
        # It may have come and gone more than once since the last look.
        self._catch_up(list(self._siblings()))
        file = self._opened(self._path)
        if file is not None:
            self._missing = False
            if at_end:
                file.pass_over()
            self._files.append(file)

    def _opened(self, path: str) -> _File | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            if not self._missing:
                self._missing = True
                self._observer.say("error", f"{path}: not a regular file; waiting for one")
            return None
        return _File(self._path, descriptor, self._max_line)

    def _let_go(self, intake: Intake) -> None:
        """Close files that were renamed away, and have been quiet for long enough."""
        for file in self._files[:-1]:
            if file.quiet_for() > self._linger:
                file.end(intake)
            if file.ended:
                file.close()
                self._files.remove(file)
                self._done[file.identity] = None
                if len(self._done) > _REMEMBERED:
                    self._done.popitem(last=False)

    def _keep(self) -> None:
        self._next_keep = time.monotonic() + _KEEP
        positions = tuple(file.position() for file in self._files)
        if positions and [_bare(item) for item in positions] != [_bare(item) for item in self._kept]:
            try:
                self._positions.keep(self._key, positions)
            except OSError as error:
                if not self._unkept:
                    self._unkept = True
                    self._observer.say("error", f"{self._path}: its position cannot be kept: {reason_of(error)}")
            else:
                self._unkept = False
                self._kept = positions

    def _resume(self) -> None:
        """Go on in the files of which positions are known, and read those that were rotated since."""
        entries = list(self._siblings())
        self._since = self._kept[-1].kept - _COARSE
        for position in self._kept:
            found = next((path for path, status in entries if _same(status, position)), None)
            file = self._opened(found) if found is not None else None
            if file is not None and file.resume(position):
                self._files.append(file)
                continue
            if file is not None:
                file.close()
            self._observer.say("warning", self._gone(position, found))
        if self._files:
            # The last one may have been written to after its position was kept, and before it was rotated.
            self._since = min(self._since, os.fstat(self._files[-1].descriptor).st_mtime)
        self._catch_up(entries)
        # The one at the path is the last: what is read on because its writer may linger comes before it.
        with contextlib.suppress(OSError):
            status = os.stat(self._path)
            self._files.sort(key=lambda file: file.is_at(status))
            self._look()

    def _catch_up(self, entries: list[tuple[str, os.stat_result]]) -> None:
        """Open what was rotated away since the last look, oldest first."""
        known = {file.identity for file in self._files} | self._done.keys()
        # What stands at the path under another name too is read there.
        with contextlib.suppress(OSError):
            status = os.stat(self._path)
            known.add((status.st_dev, status.st_ino))
        for path, status in sorted(entries, key=lambda entry: entry[1].st_mtime_ns):
            if (status.st_dev, status.st_ino) in known or status.st_mtime < self._since:
                continue
            known.add((status.st_dev, status.st_ino))
            if path.endswith(_COMPRESSED):
                self._done[status.st_dev, status.st_ino] = None
                said = f"{path}: was rotated and compressed before it was seen; what it holds is not read"
                self._observer.say("error", said)
            elif (file := self._opened(path)) is not None:
                self._files.append(file)
        self._since = max(self._since, time.time() - _COARSE)

    def _gone(self, position: Position, found: str | None) -> str:
        if found is None:
            return (
                f"{self._path}: the file that was read up to line {position.line - 1:,} is gone; what followed is lost"
            )
        return f"{found}: was written anew since it was read up to line {position.line - 1:,}; read from its beginning"

    def _siblings(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the path itself, and the names in its directory that rotation gives."""
        folder, base = os.path.split(self._key)
        stem, suffix = os.path.splitext(base)
        # `events.jsonl.1`, `events.jsonl-20261124.gz`, `events-2026-11-24T10.jsonl`. No other: not `events.jsonl.new`.
        counted, packed = r"[.\-_](?:\d[\dTZ_.\-]*|old)", "|".join(map(re.escape, _COMPRESSED))
        names = rf"{re.escape(base)}(?:{counted})?|{re.escape(stem)}{counted}{re.escape(suffix)}"
        rotated = re.compile(rf"(?:{names})(?:{packed})?")
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if rotated.fullmatch(entry.name):
                    with contextlib.suppress(OSError):
                        # Not entry.stat(): the path may be a link to the file.
                        status = os.stat(entry.path)
                        if stat.S_ISREG(status.st_mode):
                            yield entry.path, status


def _bare(position: Position) -> tuple[int, int, int]:
    return position.device, position.inode, position.offset


def _same(status: os.stat_result, position: Position) -> bool:
    return (status.st_dev, status.st_ino) == (position.device, position.inode)


class _File:
    """One file that is open, and how far it was read and decided."""

    def __init__(self, name: str, descriptor: int, max_line: int) -> None:
        self.descriptor = descriptor
        status = os.fstat(descriptor)
        self.identity = (status.st_dev, status.st_ino)
        self.ended = False
        self._name = name
        self._max_line = max_line
        self._offset = 0
        self._head = b""
        self._cutter = LineSplitter(max_line)
        self._grew = time.monotonic()
        # Set by the thread that decides: offset and line after the last delivery that was answered.
        self._decided = (0, 1)
        # Counts truncations: an answer about what was there before says nothing of the offset.
        self._turn = 0
        self._lock = threading.Lock()

    def is_at(self, status: os.stat_result) -> bool:
        return self.identity == (status.st_dev, status.st_ino)

    def quiet_for(self) -> float:
        return time.monotonic() - self._grew

    def pass_over(self) -> None:
        """Begin at the end: at the beginning of a line, be it one that is not finished."""
        size = os.fstat(self.descriptor).st_size
        offset, line = 0, 1
        while offset < size and (chunk := os.pread(self.descriptor, min(_CHUNK, size - offset), offset)):
            offset += len(chunk)
            line += chunk.count(b"\n")
            if (last := chunk.rfind(b"\n")) >= 0:
                self._begin_at(offset - len(chunk) + last + 1, line)

    def resume(self, position: Position) -> bool:
        """Go on at a position; tell whether the file is still the one that it speaks of."""
        head = os.pread(self.descriptor, position.head_size, 0)
        size = os.fstat(self.descriptor).st_size
        if sha256(head).hexdigest() != position.head or size < position.offset:
            return False
        self._begin_at(position.offset, position.line)
        return True

    def _begin_at(self, offset: int, line: int) -> None:
        self._offset = offset
        self._decided = (offset, line)
        self._cutter = LineSplitter(self._max_line, line)
        self._head = os.pread(self.descriptor, min(_HEAD, offset), 0)

    def read(self, intake: Intake, observer: ServiceObserver) -> bool:
        """Hand in what there is, a chunk at most; tell whether there was something."""
        if self._was_rewritten():
            observer.say("info", f"{self._name}: was truncated; read from its beginning")
            self._hand_in(intake, self._cutter.end())
            with self._lock:
                self._turn += 1
                self._decided = (0, 1)
            self._offset, self._head = 0, b""
            self._cutter = LineSplitter(self._max_line)
        chunk = os.pread(self.descriptor, _CHUNK, self._offset)
        if not chunk:
            return False
        if self._offset == len(self._head) < _HEAD:
            self._head += chunk[: _HEAD - len(self._head)]
        self._offset += len(chunk)
        self._grew = time.monotonic()
        self._hand_in(intake, self._cutter.feed(chunk))
        return True

    def _was_rewritten(self) -> bool:
        if os.fstat(self.descriptor).st_size < self._offset:
            return True
        return os.pread(self.descriptor, len(self._head), 0) != self._head

    def end(self, intake: Intake) -> None:
        """Hand in a last line that never ended."""
        self._hand_in(intake, self._cutter.end())
        self.ended = True

    def _hand_in(self, intake: Intake, piece: LineChunk | None) -> None:
        if piece is None:
            return
        after = (self._offset - self._cutter.waiting, self._cutter.number)
        turn = self._turn

        def done(answer: DeliveryResult) -> None:  # noqa: ARG001 - that there is one is enough
            with self._lock:
                if turn == self._turn:
                    self._decided = after

        intake.put(Delivery(self._name, piece.data, time.time(), done, piece.first, piece.long, self._max_line))

    def position(self) -> Position:
        """Return up to where everything is decided."""
        with self._lock:
            offset, line = self._decided
        head = self._head[: min(_HEAD, offset)]
        return Position(*self.identity, sha256(head).hexdigest(), len(head), offset, line, time.time())

    def close(self) -> None:
        os.close(self.descriptor)
