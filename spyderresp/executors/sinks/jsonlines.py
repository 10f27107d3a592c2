"""``JsonLines``: writes flags as JSON lines to a file, which may be rotated, or to a stream."""

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

# Seconds to wait for other writers. An append takes far less.
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.002


class JsonLines(FlagSink):
    r"""Appends each flag as one line of JSON.

    A batch is written to a file in one append, under a lock that all writers of this class share, also in other
    processes. If it cannot be written completely, the file is truncated to its old size. A file that was moved away or
    deleted is created again.

    Args:
        path: the path of a regular file, which is created if it does not exist; ``-`` for standard output; or a text or
            binary stream.
        fsync: whether to return only after the data is on the disk.
        mode: the permissions of a new file.
        name: the name in reports and in the journal.
        actions: ``makeRedFlag``, ``makeOpsFlag``, or both.
        envelope: ``cloudevents``, ``ocsf``, or None for the record itself.

    Attributes:
        local: True: delivery needs no network.
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
        self._output: _File | _Stream
        if not isinstance(path, (str, os.PathLike)):
            self._output = _Stream(path)
        elif os.fspath(path) == "-":
            self._output = _Stream(None)
        else:
            self._output = _File(os.fspath(path), fsync=fsync, mode=mode)

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Append records, all or none.

        Raises:
            DeliveryError: the records could not be written; the file is as before.
        """
        if not records:
            return
        data = "".join(self.text(record) + "\n" for record in records)
        if not self._lock.acquire(timeout=_PATIENCE):
            raise DeliveryError(f"another thread has been writing for {_PATIENCE:g} s")
        try:
            self._output.write(data)
        except (OSError, ValueError) as error:
            # A closed stream raises ValueError.
            raise DeliveryError(f"{self._output.name}: {getattr(error, 'strerror', None) or error}") from error
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the file. A stream stays open, because its owner closes it."""
        with self._lock:
            self._output.close()


class _Stream:
    """A stream of the caller; None: standard output as it is at each write."""

    def __init__(self, stream: IO[Any] | None) -> None:
        self._stream = stream
        self._torn = False
        self.name = "standard output" if stream is None else "stream"

    def write(self, data: str) -> None:
        stream: IO[Any] = sys.stdout if self._stream is None else self._stream
        # End the partial line of a failed write.
        text = f"\n{data}" if self._torn else data
        self._torn = True
        if isinstance(stream, (io.RawIOBase, io.BufferedIOBase)):
            rest = memoryview(text.encode("ascii"))
            while rest:
                taken = stream.write(rest)
                if not taken:
                    raise OSError("it would block")
                rest = rest[taken:]
        else:
            stream.write(text)
        stream.flush()
        self._torn = False

    def close(self) -> None:
        """Do nothing: the owner closes the stream."""


class _File:
    def __init__(self, path: str, *, fsync: bool, mode: int) -> None:
        self.name = path
        self._fsync = fsync
        self._mode = mode
        self._descriptor = -1
        self._process = 0

    def write(self, data: str) -> None:
        """Append to the file. After an error the file is as before."""
        with self._locked() as descriptor:
            before = os.fstat(descriptor).st_size
            try:
                if before and os.pread(descriptor, 1, before - 1) != b"\n":
                    # End the partial line of a killed writer or another program.
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
        """Open and lock the file that is at the path now."""
        deadline = time.monotonic() + _PATIENCE
        if self._process != os.getpid():
            # After a fork the descriptor shares its lock with the parent, so it would lock nothing.
            self.close()
            self._process = os.getpid()
        while True:
            if self._descriptor < 0:
                self._descriptor = self._opened()
            _lock(self._descriptor, deadline)
            # The file may have been moved away before it was locked.
            if self._is_at_path():
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
            raise OSError("is not a regular file; pass a stream instead")
        if self._fsync:
            _sync_directory(os.path.dirname(self.name) or ".")
        return descriptor

    def _is_at_path(self) -> bool:
        try:
            status = os.stat(self.name)
        except FileNotFoundError:
            return False
        return os.path.samestat(status, os.fstat(self._descriptor))


def _sync_directory(path: str) -> None:
    """Write a directory to the disk, so that the name of a new file survives a crash."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _lock(descriptor: int, deadline: float) -> None:
    """Wait for the lock; raise ``OSError`` at the deadline."""
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OSError(f"another process has kept it locked for {_PATIENCE:g} s") from None
        time.sleep(_PAUSE)
