"""Flags as JSON lines: a file that may be rotated, or a stream."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import stat
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Final

from spyderresp.execution.interfaces import DeliveryError
from spyderresp.executors.sinks.delivery_queue import FlagSink
from spyderresp.policies.vocabulary import FLAGS

# How long to wait for another writer; an append takes far less.
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.002


class JsonLines(FlagSink):
    r"""Appends each flag as one line of JSON.

    To a file each batch is one append under a lock that all writers of this class share, in this process and in others;
    what cannot be written whole is taken back. A file that was moved away or removed is made anew.

    Args:
        path: of a regular file, made where there is none; ``-`` is standard output; or a text or binary stream.
        fsync: return only when it is on the disk.
        mode: permissions of a file that is made.
        name: what reports call it.
        actions: what it takes.
        envelope: ``cloudevents``, ``ocsf`` or None.
    """

    local: Final = True

    def __init__(
        self,
        path: str | os.PathLike[str] | IO[str] | IO[bytes],
        *,
        fsync: bool = False,
        mode: int = 0o600,
        name: str = "jsonlines",
        actions: Iterable[str] = FLAGS,
        envelope: str | None = None,
    ) -> None:
        super().__init__(name, actions, envelope)
        self._lock = threading.Lock()
        self._to: _File | _Stream
        if not isinstance(path, (str, os.PathLike)):
            self._to = _Stream(path)
        elif os.fspath(path) == "-":
            self._to = _Stream(None)
        else:
            self._to = _File(os.fspath(path), fsync=fsync, mode=mode)

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Append records, all or none.

        Raises:
            DeliveryError: they could not be written; the file is as it was.
        """
        if not records:
            return
        data = "".join(self.text(record) + "\n" for record in records)
        if not self._lock.acquire(timeout=_PATIENCE):
            raise DeliveryError(f"another thread has been writing for {_PATIENCE:g} s")
        try:
            self._to.write(data)
        except (OSError, ValueError) as error:
            # ValueError: a stream that is closed.
            raise DeliveryError(f"{self._to.name}: {getattr(error, 'strerror', None) or error}") from error
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the file; a stream stays open, it is somebody else's."""
        with self._lock:
            self._to.close()


class _Stream:
    """Somebody else's stream; None is standard output, whichever it is then."""

    def __init__(self, stream: IO[Any] | None) -> None:
        self._stream = stream
        self._torn = False
        self.name = "standard output" if stream is None else "stream"

    def write(self, data: str) -> None:
        stream: IO[Any] = sys.stdout if self._stream is None else self._stream
        # What failed may have left half a line.
        whole = f"\n{data}" if self._torn else data
        self._torn = True
        if isinstance(stream, (io.RawIOBase, io.BufferedIOBase)):
            rest = memoryview(whole.encode("ascii"))
            while rest:
                taken = stream.write(rest)
                if not taken:
                    raise OSError("it would block")
                rest = rest[taken:]
        else:
            stream.write(whole)
        stream.flush()
        self._torn = False

    def close(self) -> None:
        """Leave it open."""


class _File:
    def __init__(self, path: str, *, fsync: bool, mode: int) -> None:
        self.name = path
        self._fsync = fsync
        self._mode = mode
        self._descriptor = -1
        self._process = 0

    def write(self, data: str) -> None:
        """Append; on any failure leave the file as it was."""
        with self._locked() as descriptor:
            before = os.fstat(descriptor).st_size
            try:
                if before and os.pread(descriptor, 1, before - 1) != b"\n":
                    # A writer that was killed half-way, or another program. Its line ends here.
                    data = "\n" + data
                rest = memoryview(data.encode("ascii"))
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                if self._fsync:
                    os.fsync(descriptor)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the file that bears the name now, alone among its writers."""
        deadline = time.monotonic() + _PATIENCE
        if self._process != os.getpid():
            # A descriptor from before a fork shares its lock with the parent's: no lock at all.
            self.close()
            self._process = os.getpid()
        while True:
            if self._descriptor < 0:
                self._descriptor = self._opened()
            _lock(self._descriptor, deadline)
            # It may have been moved away before the lock was ours; while it is, nobody writes to what was moved.
            if self._bears_the_name():
                break
            self.close()
            if time.monotonic() > deadline:
                raise OSError(f"it was moved away again and again for {_PATIENCE:g} s")
        try:
            yield self._descriptor
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        descriptor = os.open(self.name, flags, self._mode)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError("is not a regular file; hand in a stream instead")
        if self._fsync:
            _sync_directory(os.path.dirname(self.name) or ".")
        return descriptor

    def _bears_the_name(self) -> bool:
        try:
            there = os.stat(self.name)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))


def _sync_directory(path: str) -> None:
    """Put the name of a file that may be new on the disk, too."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _lock(descriptor: int, deadline: float) -> None:
    while not _lock_free(descriptor):
        if time.monotonic() > deadline:
            raise OSError(f"another process has kept it locked for {_PATIENCE:g} s")
        time.sleep(_PAUSE)


def _lock_free(descriptor: int) -> bool:
    """Take the lock if nobody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
