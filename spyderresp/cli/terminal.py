"""Terminal output: escaping, colours, progress, diagnostics, and closed or broken standard streams."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, Final, NamedTuple, TextIO

from spyderresp.errors import Diagnostic, SpyderrespError

_SGR: Final = {"red": "31;1", "yellow": "33;1", "blue": "34;1", "green": "32;1", "bold": "1", "dim": "2"}
# Control characters, characters that reorder or hide text, line separators, and surrogates, which cannot be encoded.
# The joiners U+200C and U+200D are not escaped: some scripts need them.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PROGRESS_AFTER: Final = 1.0
_PROGRESS_EVERY: Final = 0.25
# The width at which lines are cut if the terminal does not report its width.
_WIDTH: Final = 120


class CommandError(SpyderrespError):
    """Ends the command with exit code 3. The message is for people and must be safe to print."""


def safe(text: str) -> str:
    """Return text with control and reordering characters escaped, so that a terminal does not act on it."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def reason_of(error: OSError) -> str:
    """Return the reason of a system error, starting in lower case."""
    reason = error.strerror or "it failed"
    return reason[:1].lower() + reason[1:]


def write_file(path: str, text: str) -> None:
    """Write a text file.

    Raises:
        CommandError: the file cannot be written.
    """
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CommandError(f"spyderresp: {safe(path)}: cannot be written: {reason_of(error)}") from None


class Streams:
    """Standard output and standard error of one command. Either may be closed."""

    def __init__(self) -> None:
        self._out: TextIO | None = sys.stdout
        self._err: TextIO | None = sys.stderr
        self._prompt = not is_regular_file(self._out)

    def live(self, source: IO[bytes]) -> None:
        """Flush each line from now on, unless the input is a regular file."""
        self._prompt = self._prompt or not is_regular_file(source)

    def write(self, text: str) -> None:
        """Write a line to standard output; flush it unless both input and output are regular files.

        Raises:
            CommandError: standard output cannot be written, such as on a full disk.
        """
        if self._out is None:
            raise CommandError("spyderresp: standard output is closed")
        try:
            _put(self._out, text + "\n")
            if self._prompt:
                self._out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._lost(error)

    def flush(self) -> None:
        """Flush standard output.

        Raises:
            CommandError: standard output cannot be written.
        """
        if self._out is None:
            return
        try:
            self._out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._lost(error)

    def _lost(self, error: OSError) -> None:
        self.abandon()
        raise CommandError(f"spyderresp: standard output cannot be written: {reason_of(error)}") from None

    def complain(self, text: str) -> None:
        """Write a line to standard error; ignore a failure."""
        self.say(text + "\n")

    def say(self, text: str) -> None:
        """Write text to standard error without adding a newline; ignore a failure."""
        if self._err is None:
            return
        try:
            _put(self._err, text)
            self._err.flush()
        except OSError:
            _abandon(self._err)

    def abandon(self) -> None:
        """Redirect standard output to /dev/null, so that the interpreter's flush at exit cannot fail."""
        if self._out is not None:
            _abandon(self._out)

    def paint(self, *, errors: bool = False) -> Paint:
        """Return the colours and the width for standard output, or with ``errors`` for standard error."""
        stream = self._err if errors else self._out
        # Some terminals report a width of 0.
        width = (shutil.get_terminal_size((_WIDTH, 24)).columns if _is_terminal(stream) else 0) or _WIDTH
        return Paint(enabled=_colourful(stream), width=width)

    def progress(self, noun: str) -> Progress:
        """Return a counter that appears on standard error during long work, if standard error is a terminal.

        If standard output is a terminal too, nothing is shown: the results themselves show the progress.
        """
        return Progress(self, noun, enabled=_is_terminal(self._err) and not _is_terminal(self._out))


def _put(stream: TextIO, text: str) -> None:
    """Write text; escape characters that the stream's encoding does not have."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _abandon(stream: TextIO) -> None:
    """Redirect a stream to /dev/null, so that flushing its buffer at exit cannot fail again."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def is_regular_file(stream: IO[Any] | None) -> bool:
    """Whether a stream is a regular file. Nothing waits for its lines, as the reader of a pipe or a terminal does."""
    try:
        return stream is not None and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _colourful(stream: TextIO | None) -> bool:
    return _is_terminal(stream) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


class Paint:
    """Adds colours to text if they are enabled.

    Attributes:
        width: the number of columns at which lines are cut.
    """

    def __init__(self, *, enabled: bool, width: int = _WIDTH) -> None:
        self._enabled = enabled
        self.width = width

    def __call__(self, colour: str, text: str) -> str:
        return f"\x1b[{_SGR[colour]}m{text}\x1b[0m" if self._enabled else text


class Progress:
    """Shows a count on one line of the terminal during long work; ``clear`` erases the line."""

    def __init__(self, streams: Streams, noun: str, *, enabled: bool) -> None:
        self._streams = streams
        self._noun = noun
        self._shown = 0
        self._begun = time.monotonic()
        self._next = self._begun + _PROGRESS_AFTER if enabled else float("inf")

    def update(self, count: int) -> None:
        """Show the count if the work has lasted a second and the last update is a quarter of a second old."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PROGRESS_EVERY
        text = f"{count:,} {self._noun}, {count / (now - self._begun):,.0f} a second"
        self._streams.say(f"\r{text:<{self._shown}}")
        self._shown = len(text)

    def clear(self) -> None:
        """Erase the count. With spaces, which work on every terminal."""
        if self._shown:
            self._streams.say(f"\r{' ' * self._shown}\r")
            self._shown = 0


# Diagnostics as text for people.

_COLOURS: Final = {"error": "red", "warning": "yellow", "note": "blue"}
_TAB: Final = 4
_CUT: Final = "..."
_LEAST_ROOM: Final = 30
_LISTED_CODES: Final = 8


def diagnostic_text(diagnostic: Diagnostic, paint: Paint) -> str:
    """Return a diagnostic with its source line, a caret, and its help."""
    colour = _COLOURS[diagnostic.level]
    head = paint(colour, f"{diagnostic.level}[{diagnostic.code}]")
    lines = [f"{paint('bold', safe(str(diagnostic.location)))}: {head}: {safe(diagnostic.message)}"]
    if diagnostic.source_line:
        number = str(diagnostic.location.line)
        shown, before, marked = _window(diagnostic, paint.width - len(number) - 4)
        lines.append(paint("dim", f" {number} |") + f" {shown}".rstrip())
        lines.append(paint("dim", f" {' ' * len(number)} |") + f" {' ' * before}{paint(colour, '^' * marked)}")
    if diagnostic.help:
        lines.append(f"help: {safe(diagnostic.help)}")
    return "\n".join(lines)


class _Cell(NamedTuple):
    """One character of a source line in the form shown, and its width."""

    text: str
    columns: int


def _cells(line: str) -> Iterator[_Cell]:
    column = 0
    for char in line:
        text = " " * (_TAB - column % _TAB) if char == "\t" else safe(char)
        columns = len(text) if len(text) != 1 or text.isascii() else _columns(text)
        column += columns
        yield _Cell(text, columns)


def _columns(char: str) -> int:
    """Return the width of a character: 0 for combining characters, 2 for wide ones, else 1."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _window(diagnostic: Diagnostic, room: int) -> tuple[str, int, int]:
    """Return the part of the source line that fits, the columns before the marked range, and the width of the range."""
    cells = list(_cells(diagnostic.source_line))
    start = min(diagnostic.source_column - 1, len(cells))
    stop = min(start + diagnostic.width, len(cells))
    room = max(room, _LEAST_ROOM)
    first, last = 0, len(cells)
    if _width(cells) > room:
        # Keep the marked range visible, with up to a third of the room for the text before it.
        first = start - _fitting(cells[:start][::-1], room // 3)
        last = first + _fitting(cells[first:], room - 2 * len(_CUT))
    head = _CUT if first else ""
    tail = _CUT if last < len(cells) else ""
    before = len(head) + _width(cells[first:start])
    marked = max(1, _width(cells[start : min(stop, last)]))
    return head + "".join(cell.text for cell in cells[first:last]) + tail, before, marked


def _fitting(cells: Sequence[_Cell], room: int) -> int:
    """Return the number of leading cells that fit ``room`` columns."""
    used = 0
    for count, cell in enumerate(cells):
        used += cell.columns
        if used > room:
            return count
    return len(cells)


def _width(cells: Sequence[_Cell]) -> int:
    return sum(cell.columns for cell in cells)


def pages(diagnostics: Iterable[Diagnostic]) -> str:
    """Return the ``explain-code`` command for the codes of these diagnostics."""
    codes = sorted({item.code for item in diagnostics})
    more = f" and {len(codes) - _LISTED_CODES} more" if len(codes) > _LISTED_CODES else ""
    return f"`spyderresp explain-code {' '.join(codes[:_LISTED_CODES])}`{more}"


def counted(diagnostics: Iterable[Diagnostic]) -> str:
    """Return the number of diagnostics of each level: ``1 error, 2 warnings``."""
    levels = [item.level for item in diagnostics]
    counts = [(level, levels.count(level)) for level in ("error", "warning", "note")]
    return ", ".join(plural(count, level) for level, count in counts if count) or "no findings"


def plural(count: int, noun: str) -> str:
    """Return ``1 error``, ``1,200 errors`` or ``2 policies``."""
    return f"{count:,} {noun if count == 1 else noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"
