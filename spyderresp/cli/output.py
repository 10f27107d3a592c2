"""The terminal: what may be written to it, in what colour, and what happens when it goes away."""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from typing import Final, TextIO

_SGR: Final = {"red": "31;1", "yellow": "33;1", "blue": "34;1", "green": "32;1", "bold": "1", "dim": "2"}
# Control characters, what reorders text on the screen, line separators, and surrogates that no stream can encode.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_PROGRESS_AFTER: Final = 1.0


class CannotGoOnError(Exception):
    """The command ends here with exit code 3; the message is for people, and safe to print."""


def safe(text: str) -> str:
    """Return text that no terminal acts on: control and reordering characters escaped."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class Streams:
    """Standard output and error, as one command uses them."""

    def __init__(self) -> None:
        self._out = sys.stdout
        self._err = sys.stderr
        self._prompt = not _is_file(self._out)

    def write(self, text: str) -> None:
        """Write a line to standard output; at once where somebody may be waiting for it.

        Raises:
            CannotGoOnError: it cannot be written, for a full disk perhaps.
        """
        try:
            self._out.write(text + "\n")
            if self._prompt:
                self._out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._lost(error)

    def flush(self) -> None:
        """Write out what is held back."""
        try:
            self._out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._lost(error)

    def _lost(self, error: OSError) -> None:
        self.abandon()
        raise CannotGoOnError(f"spyderresp: standard output cannot be written: {error.strerror}") from None

    def complain(self, text: str) -> None:
        """Write a line to standard error. Where that fails there is nobody left to tell."""
        try:
            self._err.write(text + "\n")
            self._err.flush()
        except OSError:
            pass

    def abandon(self) -> None:
        """Give up standard output, so that the interpreter does not try to flush it once more at its end."""
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())
        except (OSError, ValueError):
            pass

    def paint(self, *, errors: bool = False) -> Paint:
        """Return the colours for standard output, or for standard error."""
        return Paint(enabled=_colourful(self._err if errors else self._out))

    def progress(self, noun: str) -> Progress:
        """Return a counter that shows itself on standard error, where that is a terminal and the work is long."""
        return Progress(self._err, noun)


def _is_file(stream: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _colourful(stream: TextIO) -> bool:
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


class Paint:
    """Colours, or nothing."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled

    def __call__(self, colour: str, text: str) -> str:
        return f"\x1b[{_SGR[colour]}m{text}\x1b[0m" if self._enabled else text


class Progress:
    """Counts, and shows the count now and then on a terminal."""

    def __init__(self, stream: TextIO, noun: str) -> None:
        self._stream = stream
        self._noun = noun
        self._shown = False
        self._next = time.monotonic() + _PROGRESS_AFTER if stream.isatty() else float("inf")

    def update(self, count: int) -> None:
        """Show the count, at most about once a second."""
        if time.monotonic() >= self._next:
            self._next += _PROGRESS_AFTER
            self._shown = True
            self._stream.write(f"\r{count:,} {self._noun}")
            self._stream.flush()

    def clear(self) -> None:
        """Take the count off the screen."""
        if self._shown:
            self._shown = False
            self._stream.write("\r\x1b[K")
            self._stream.flush()
