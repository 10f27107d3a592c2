"""Finds files of recorded events, and detects the kind of each by its first bytes."""

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
        reason: the reason, for people, in lower case.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


def files(words: Sequence[str]) -> Iterator[str]:
    """Yield the files that the words of a command line select: each word is a file, a directory, a glob, or ``-``.

    In a directory, the files with the suffix of a file of events (``.jsonl``, ``.parquet``, ...) are selected, sorted
    by path; names that begin with a dot are skipped.

    Raises:
        RecordedError: a word selects no file, or standard input is named twice.
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

            matching = sorted(path for path in glob.glob(word, recursive=True) if os.path.isfile(path))
            if not matching:
                raise RecordedError(word, "no file matches")
            yield from matching
        elif os.path.exists(word):
            yield word
        else:
            raise RecordedError(word, "no such file or directory")


def _walked(directory: str) -> Iterator[str]:
    paths = []
    for root, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [os.path.join(root, name) for name in names if _is_name_of_events(name)]
    if not paths:
        raise RecordedError(directory, "no file of events in it")
    yield from sorted(paths, key=lambda path: path.split(os.sep))


def _is_name_of_events(name: str) -> bool:
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    return not name.startswith(".") and name.endswith(_SUFFIXES)


@contextlib.contextmanager
def open_recording(path: str) -> Iterator[tuple[IO[bytes], Kind]]:
    """Open a file, and detect its kind. Compressed JSON lines are decompressed.

    Raises:
        OSError: it cannot be opened or read.
        RecordedError: it is compressed with zstd, and the extra ``zstd`` is not installed.
    """
    with contextlib.ExitStack() as stack:
        raw: Any = sys.stdin.buffer if path == STDIN else stack.enter_context(open(path, "rb"))
        file = raw if hasattr(raw, "peek") else io.BufferedReader(raw)
        first = file.peek(8)[:8]
        kind: Kind = next((kind for mark, kind in _TABLES if first.startswith(mark)), "lines")
        if kind in ("parquet", "ipc-file") and not file.seekable():
            # Reading begins at the end of the file, where its index is.
            file = io.BytesIO(file.read())
        elif first.startswith(_GZIP):
            import gzip

            file = stack.enter_context(gzip.GzipFile(fileobj=file))
        elif first.startswith(_ZSTD):
            file = stack.enter_context(_unzstd(file, path))
        yield file, kind


def damage() -> tuple[type[Exception], ...]:
    """Return the exceptions that reading a damaged file raises."""
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
