"""Finds files of recorded events, and detects by its first bytes what each one holds."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final, Literal

from spyderresp.errors import SpyderrespError

Kind = Literal["lines", "parquet", "ipc-file", "ipc-stream"]
STDIN: Final = "-"
_SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".arrows", ".ipc", ".feather")
_COMPRESSED: Final = (".gz", ".zst")
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_TABLES: Final[tuple[tuple[bytes, Kind], ...]] = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "ipc-file"),
    (b"\xff\xff\xff\xff", "ipc-stream"),
)


class RecordedError(SpyderrespError):
    """A file cannot be found or read.

    Attributes:
        path: the file.
        reason: for people, in lower case.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


def files(words: Sequence[str]) -> Iterator[str]:
    """Yield the files of a command line: each word is a file, a directory to walk, a glob, or ``-``.

    Of a directory, files named as events are (``.jsonl``, ``.parquet``, ...), in order of their path parts; what begins
    with a dot is passed over.

    Raises:
        RecordedError: there is no file, or standard input is named twice.
    """
    if words.count(STDIN) > 1:
        raise RecordedError(STDIN, "standard input can be read only once")
    for word in words:
        if word == STDIN or os.path.isfile(word):
            yield word
        elif os.path.isdir(word):
            yield from _walked(word)
        elif any(mark in word for mark in "*?["):
            import glob

            found = sorted(path for path in glob.glob(word, recursive=True) if os.path.isfile(path))
            if not found:
                raise RecordedError(word, "no file matches")
            yield from found
        elif os.path.exists(word):
            yield word
        else:
            raise RecordedError(word, "no such file or directory")


def _walked(directory: str) -> Iterator[str]:
    found = []
    for root, names, leaves in os.walk(directory):
        names[:] = [name for name in names if not name.startswith(".")]
        found += [os.path.join(root, name) for name in leaves if _is_named_so(name)]
    if not found:
        raise RecordedError(directory, "no file of events in it")
    yield from sorted(found, key=lambda path: path.split(os.sep))


def _is_named_so(name: str) -> bool:
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    return not name.startswith(".") and name.endswith(_SUFFIXES)


@contextlib.contextmanager
def open_recording(path: str) -> Iterator[tuple[IO[bytes], Kind]]:
    """Open a file, decompressed where it is JSON lines; gives what it holds too.

    Raises:
        OSError: it cannot be opened or read.
        RecordedError: it is compressed with zstd, and nothing here can read that.
    """
    with contextlib.ExitStack() as held:
        raw: Any = sys.stdin.buffer if path == STDIN else held.enter_context(open(path, "rb"))
        file = raw if hasattr(raw, "peek") else io.BufferedReader(raw)
        first = file.peek(8)[:8]
        kind: Kind = next((kind for mark, kind in _TABLES if first.startswith(mark)), "lines")
        if kind in ("parquet", "ipc-file") and not file.seekable():
            # Its index stands at its end.
            file = io.BytesIO(file.read())
        elif first.startswith(_GZIP):
            import gzip

            file = held.enter_context(gzip.GzipFile(fileobj=file))
        elif first.startswith(_ZSTD):
            file = held.enter_context(_unzstd(file, path))
        yield file, kind


def damage() -> tuple[type[Exception], ...]:
    """Return what reading a file raises where what it holds is damaged."""
    try:
        import zstandard
    except ImportError:
        return (EOFError, zlib.error)
    return (EOFError, zlib.error, zstandard.ZstdError)


def _unzstd(file: IO[bytes], path: str) -> IO[bytes]:
    try:
        import zstandard
    except ImportError:
        raise RecordedError(path, "zstd needs the extra `zstd`: pip install 'spyderresp[zstd]'") from None
    reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    return io.BufferedReader(reader)
