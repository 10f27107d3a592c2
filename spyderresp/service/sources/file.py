"""Reads files: standard input, a pipe or a file once to its end, and a file that grows.

``Followed`` survives rotation and truncation. After a restart it continues after the last event that was decided. It
reads a renamed file on for a while, because its writer may still have it open. It recognises files by device, inode and
first bytes, under any name that rotation gives in the same folder.
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

# Positions of followed files, kept in a small file beside the journal.

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Position:
    """How far a followed file is decided.

    Attributes:
        device: the device of the file.
        inode: its inode; it stays the same when the file is renamed.
        head: the digest of its first bytes, because a new file can get the inode of a deleted one.
        head_size: the number of these bytes.
        offset: the offset of the first byte that is not decided.
        line: the number of the line there.
        kept: when this was written, in epoch seconds; files that were rotated later are not read yet.
    """

    device: int
    inode: int
    head: str
    head_size: int
    offset: int
    line: int
    kept: float


class Positions:
    """The positions of followed files. A write replaces the file atomically and is on the disk when it returns.

    Args:
        path: the file; None: positions are not kept.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._positions: dict[str, tuple[Position, ...]] = {}
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read the positions that an earlier process wrote.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file does not hold positions.
        """
        if self._path is None:
            return
        try:
            with open(self._path, encoding="utf-8") as file:
                content = json.load(file)
            if content["version"] != _VERSION:
                raise ValueError("it holds no positions that this version reads")
            self._positions = {
                name: tuple(Position(**each) for each in items) for name, items in content["files"].items()
            }
        except FileNotFoundError:
            pass
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError):
            raise ValueError(
                "it holds no positions; without it, followed files are read from their beginning"
            ) from None

    def of(self, name: str) -> tuple[Position, ...]:
        """Return the positions for an absolute path: of its rotated files first, of the file at the path last."""
        return self._positions.get(name, ())

    def keep(self, name: str, positions: tuple[Position, ...]) -> None:
        """Write the positions for an absolute path.

        Raises:
            OSError: the file cannot be written; it still holds the old positions.
        """
        if self._path is None:
            return
        with self._lock:
            self._positions[name] = positions
            files = {name: [asdict(position) for position in items] for name, items in self._positions.items()}
            new = f"{self._path}.new"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            with open(os.open(new, flags, 0o600), "w", encoding="utf-8") as file:
                json.dump({"version": _VERSION, "files": files}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self._path)


# The most bytes of one read.
_CHUNK: Final = 1 << 18


class Stream:
    """Reads JSON lines from a file or a pipe until its end, as they arrive.

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
        splitter = LineSplitter(self._max_line)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        poll.register(stop.descriptor, select.POLLIN)
        try:
            while True:
                poll.poll()
                if stop.called:
                    return
                data = os.read(self._descriptor, _CHUNK)
                chunk = splitter.feed(data) if data else splitter.end()
                if chunk is not None:
                    intake.put(self._delivery(chunk))
                if not data:
                    return
        except OSError as error:
            raise SourceError(f"{self.name}: {reason_of(error)}") from None
        except ClosedError:
            return

    def _delivery(self, chunk: LineChunk) -> Delivery:
        kind = "stdin" if self._path is None else "file"
        return Delivery(
            self.name, chunk.data, time.time(), None, chunk.first, chunk.long, limit=self._max_line, kind=kind
        )

    def close(self) -> None:
        if self._descriptor > 0:
            os.close(self._descriptor)
        self._descriptor = -1


def reason_of(error: Exception) -> str:
    """Return why something failed, in lower case."""
    text = getattr(error, "strerror", None) or str(error) or "it failed"
    return text[:1].lower() + text[1:]


# The bytes by which a file is recognised.
_HEAD: Final = 1024
# Seconds between two reads when nothing arrives.
_POLL: Final = 0.1
# The fewest seconds between two writes of positions.
_KEEP: Final = 0.5
# Seconds without new lines after which a renamed file is closed.
_LINGER: Final = 10.0
# Seconds by which the time of a file can lie before the change: the kernel uses the clock of its last tick.
_COARSE: Final = 0.02
# The most files that are known to be read completely.
_MAX_DONE: Final = 1000
_COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst")


class Followed:
    """Follows a growing file until it is stopped.

    Args:
        path: the file; it need not exist yet.
        positions: where to continue; updated as events are decided.
        observer: receives messages, such as about lines that a rotation lost.
        start: where to begin in a file without a position.
        max_line: the most bytes of a line.
        linger: seconds without new lines after which a renamed file is closed.
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
        # Open files, oldest first. The file at the path, if there is one, is the last.
        self._files: list[_File] = []
        self._written: tuple[Position, ...] = ()
        self._next_keep = 0.0
        self._missing = False
        self._write_failed = False
        # Files that were rotated after this time are read, except those that were read completely.
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
        self._written = self._positions.of(self._key)
        if self._written:
            self._resume()

    def run(self, intake: Intake, stop: Stop) -> None:
        # `start` concerns only a file that exists when the service starts.
        with contextlib.suppress(ClosedError):
            if not self._files:
                self._open_new(at_end=self._start == "end")
            while not stop.called:
                # Oldest first, so that events are decided in their order.
                busy = any(file.read(intake, self._observer) for file in self._files)
                self._open_new()
                self._close_quiet(intake)
                if time.monotonic() >= self._next_keep:
                    self._keep()
                if not busy and stop.wait(_POLL):
                    break

    def close(self) -> None:
        self._keep()
        for file in self._files:
            file.close()
        self._files = []

    def _open_new(self, *, at_end: bool = False) -> None:
        """Open the file at the path, if it is a new file."""
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
        # The path may have been rotated more than once since the last check.
        self._catch_up(list(self._siblings()))
        file = self._open_regular(self._path)
        if file is not None:
            self._missing = False
            if at_end:
                file.skip_to_end()
            self._files.append(file)

    def _open_regular(self, path: str) -> _File | None:
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

    def _close_quiet(self, intake: Intake) -> None:
        """Close renamed files that got no new lines for `linger` seconds."""
        for file in self._files[:-1]:
            if file.quiet_for() > self._linger:
                file.end(intake)
            if file.ended:
                file.close()
                self._files.remove(file)
                self._done[file.identity] = None
                if len(self._done) > _MAX_DONE:
                    self._done.popitem(last=False)

    def _keep(self) -> None:
        self._next_keep = time.monotonic() + _KEEP
        positions = tuple(file.position() for file in self._files)
        if positions and list(map(_without_time, positions)) != list(map(_without_time, self._written)):
            try:
                self._positions.keep(self._key, positions)
            except OSError as error:
                if not self._write_failed:
                    self._write_failed = True
                    self._observer.say("error", f"{self._path}: its position cannot be kept: {reason_of(error)}")
            else:
                self._write_failed = False
                self._written = positions

    def _resume(self) -> None:
        """Continue in the files with a position; open the files that were rotated later."""
        entries = list(self._siblings())
        self._since = self._written[-1].kept - _COARSE
        for position in self._written:
            path = next((path for path, status in entries if _same(status, position)), None)
            file = self._open_regular(path) if path is not None else None
            if file is not None and file.resume(position):
                self._files.append(file)
                continue
            if file is not None:
                file.close()
            self._observer.say("warning", _lost_lines(self._path, position, path))
        if self._files:
            # The last file may have grown after its position was written, and before it was rotated.
            self._since = min(self._since, os.fstat(self._files[-1].descriptor).st_mtime)
        self._catch_up(entries)
        # The file at the path comes last. Renamed files that are still read come before it.
        with contextlib.suppress(OSError):
            status = os.stat(self._path)
            self._files.sort(key=lambda file: file.is_at(status))
            self._open_new()

    def _catch_up(self, entries: list[tuple[str, os.stat_result]]) -> None:
        """Open the files that were rotated since the last check, oldest first."""
        known = {file.identity for file in self._files} | self._done.keys()
        # Do not read the file at the path again under another name.
        with contextlib.suppress(OSError):
            status = os.stat(self._path)
            known.add((status.st_dev, status.st_ino))
        for path, status in sorted(entries, key=lambda entry: entry[1].st_mtime_ns):
            if (status.st_dev, status.st_ino) in known or status.st_mtime < self._since:
                continue
            known.add((status.st_dev, status.st_ino))
            if path.endswith(_COMPRESSED):
                self._done[status.st_dev, status.st_ino] = None
                self._observer.say(
                    "error", f"{path}: was rotated and compressed before it was read; its lines are lost"
                )
            elif (file := self._open_regular(path)) is not None:
                self._files.append(file)
        self._since = max(self._since, time.time() - _COARSE)

    def _siblings(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the path itself, and the files beside it whose names rotation gives."""
        folder, base = os.path.split(self._key)
        stem, suffix = os.path.splitext(base)
        # Such as `events.jsonl.1`, `events.jsonl-20261124.gz`, `events-2026-11-24T10.jsonl`; not `events.jsonl.new`.
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


def _without_time(position: Position) -> tuple[int, int, int]:
    return position.device, position.inode, position.offset


def _same(status: os.stat_result, position: Position) -> bool:
    return (status.st_dev, status.st_ino) == (position.device, position.inode)


def _lost_lines(followed: str, position: Position, path: str | None) -> str:
    """Return the message for a position whose file, now at ``path``, is deleted (None) or was overwritten."""
    line = f"line {position.line - 1:,}"
    if path is None:
        return f"{followed}: the file that was read up to {line} is gone; its later lines are lost"
    return f"{path}: was overwritten after it was read up to {line}; read from its beginning"


class _File:
    """An open file, and how far it was read and decided."""

    def __init__(self, name: str, descriptor: int, max_line: int) -> None:
        self.descriptor = descriptor
        status = os.fstat(descriptor)
        self.identity = (status.st_dev, status.st_ino)
        self.ended = False
        self._name = name
        self._max_line = max_line
        self._offset = 0
        self._head = b""
        self._splitter = LineSplitter(max_line)
        self._grew = time.monotonic()
        # Offset and line after the last delivery with a result; set by the thread of the loop.
        self._decided = (0, 1)
        # Counts truncations. A result for older content does not change `_decided`.
        self._truncations = 0
        self._lock = threading.Lock()

    def is_at(self, status: os.stat_result) -> bool:
        return self.identity == (status.st_dev, status.st_ino)

    def quiet_for(self) -> float:
        return time.monotonic() - self._grew

    def skip_to_end(self) -> None:
        """Begin at the start of the last line that is not complete, or at the end of the file."""
        size = os.fstat(self.descriptor).st_size
        offset, line = 0, 1
        while offset < size and (chunk := os.pread(self.descriptor, min(_CHUNK, size - offset), offset)):
            offset += len(chunk)
            line += chunk.count(b"\n")
            if (last := chunk.rfind(b"\n")) >= 0:
                self._begin_at(offset - len(chunk) + last + 1, line)

    def resume(self, position: Position) -> bool:
        """Continue at a position; return False if the file has other content than when the position was written."""
        head = os.pread(self.descriptor, position.head_size, 0)
        size = os.fstat(self.descriptor).st_size
        if sha256(head).hexdigest() != position.head or size < position.offset:
            return False
        self._begin_at(position.offset, position.line)
        return True

    def _begin_at(self, offset: int, line: int) -> None:
        self._offset = offset
        self._decided = (offset, line)
        self._splitter = LineSplitter(self._max_line, line)
        self._head = os.pread(self.descriptor, min(_HEAD, offset), 0)

    def read(self, intake: Intake, observer: ServiceObserver) -> bool:
        """Read one chunk and hand its lines in; return whether there was something to read."""
        if self._was_rewritten():
            observer.say("info", f"{self._name}: was truncated; read from its beginning")
            self._hand_in(intake, self._splitter.end())
            with self._lock:
                self._truncations += 1
                self._decided = (0, 1)
            self._offset, self._head = 0, b""
            self._splitter = LineSplitter(self._max_line)
        data = os.pread(self.descriptor, _CHUNK, self._offset)
        if not data:
            return False
        if self._offset == len(self._head) < _HEAD:
            self._head += data[: _HEAD - len(self._head)]
        self._offset += len(data)
        self._grew = time.monotonic()
        self._hand_in(intake, self._splitter.feed(data))
        return True

    def _was_rewritten(self) -> bool:
        if os.fstat(self.descriptor).st_size < self._offset:
            return True
        return os.pread(self.descriptor, len(self._head), 0) != self._head

    def end(self, intake: Intake) -> None:
        """Hand in the last line, which has no newline."""
        self._hand_in(intake, self._splitter.end())
        self.ended = True

    def _hand_in(self, intake: Intake, chunk: LineChunk | None) -> None:
        if chunk is None:
            return
        after = (self._offset - self._splitter.waiting, self._splitter.number)
        truncations = self._truncations

        def done(result: DeliveryResult) -> None:  # noqa: ARG001 - any result means that the lines are decided
            with self._lock:
                if truncations == self._truncations:
                    self._decided = after

        intake.put(Delivery(self._name, chunk.data, time.time(), done, chunk.first, chunk.long, self._max_line))

    def position(self) -> Position:
        """Return how far the file is decided."""
        with self._lock:
            offset, line = self._decided
        head = self._head[: min(_HEAD, offset)]
        return Position(*self.identity, sha256(head).hexdigest(), len(head), offset, line, time.time())

    def close(self) -> None:
        os.close(self.descriptor)
