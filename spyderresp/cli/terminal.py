"""The terminal: what may be written to it, in what colour, and what happens when it goes away."""

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
# Control characters; what reorders or hides text on the screen; line separators; surrogates, which no stream can
# encode. The joiners U+200C and U+200D stay: scripts need them.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PROGRESS_AFTER: Final = 1.0
_PROGRESS_EVERY: Final = 0.25
# How wide a line that may be cut is, where no terminal says.
_WIDTH: Final = 120


class CommandError(SpyderrespError):
    """The command ends here with exit code 3; the message is for people, and safe to print."""


def safe(text: str) -> str:
    """Return text that no terminal acts on: control and reordering characters escaped."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def reason_of(error: OSError) -> str:
    """Return why an operation of the system failed, in lower case."""
    reason = error.strerror or "it failed"
    return reason[:1].lower() + reason[1:]


class Streams:
    """Standard output and error, as one command uses them. Either may be closed."""

    def __init__(self) -> None:
        self._out: TextIO | None = sys.stdout
        self._err: TextIO | None = sys.stderr
        self._prompt = not is_regular_file(self._out)

    def live(self, source: IO[bytes]) -> None:
        """Say where input comes from: what is read from anything but a regular file is answered at once."""
        self._prompt = self._prompt or not is_regular_file(source)

    def write(self, text: str) -> None:
        """Write a line to standard output; at once where somebody may be waiting for it.

        Raises:
            CommandError: it cannot be written, for a full disk perhaps.
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
        """Write out what is held back.

        Raises:
            CommandError: it cannot be written.
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
        """Write a line to standard error. Where that fails there is nobody left to tell."""
        self.say(text + "\n")

    def say(self, text: str) -> None:
        """Write text to standard error as it stands, without a line's end."""
        if self._err is None:
            return
        try:
            _put(self._err, text)
            self._err.flush()
        except OSError:
            _abandon(self._err)

    def abandon(self) -> None:
        """Give up standard output, so that the interpreter does not try to flush it once more at its end."""
        if self._out is not None:
            _abandon(self._out)

    def paint(self, *, errors: bool = False) -> Paint:
        """Return the colours for standard output, or for standard error."""
        stream = self._err if errors else self._out
        # A terminal may not know its own size: it says 0 then.
        width = (shutil.get_terminal_size((_WIDTH, 24)).columns if _is_terminal(stream) else 0) or _WIDTH
        return Paint(enabled=_colourful(stream), width=width)

    def progress(self, noun: str) -> Progress:
        """Return a counter that shows itself on standard error, where that is a terminal and the work is long.

        Where standard output is a terminal too, the results themselves are the progress.
        """
        return Progress(self, noun, enabled=_is_terminal(self._err) and not _is_terminal(self._out))


def _put(stream: TextIO, text: str) -> None:
    """Write text; what the stream's encoding lacks is escaped."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _abandon(stream: TextIO) -> None:
    """Lead a stream to nowhere: what its buffer holds must not fail again when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        place = stream.fileno()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, place)
        os.close(nothing)


def is_regular_file(stream: IO[Any] | None) -> bool:
    """Tell whether a stream is a regular file, at whose other end nobody waits."""
    try:
        return stream is not None and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _colourful(stream: TextIO | None) -> bool:
    return _is_terminal(stream) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


class Paint:
    """Colours, or nothing; and how wide a line may be before it is cut.

    Attributes:
        width: in columns.
    """

    def __init__(self, *, enabled: bool, width: int = _WIDTH) -> None:
        self._enabled = enabled
        self.width = width

    def __call__(self, colour: str, text: str) -> str:
        return f"\x1b[{_SGR[colour]}m{text}\x1b[0m" if self._enabled else text


class Progress:
    """Counts, and shows the count now and then on a terminal, on one line that is erased at the end."""

    def __init__(self, streams: Streams, noun: str, *, enabled: bool) -> None:
        self._streams = streams
        self._noun = noun
        self._shown = 0
        self._begun = time.monotonic()
        self._next = self._begun + _PROGRESS_AFTER if enabled else float("inf")

    def update(self, count: int) -> None:
        """Show the count, if the work is long by now and it was not shown a moment ago."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PROGRESS_EVERY
        text = f"{count:,} {self._noun}, {count / (now - self._begun):,.0f} a second"
        self._streams.say(f"\r{text:<{self._shown}}")
        self._shown = len(text)

    def clear(self) -> None:
        """Take the count off the screen. With spaces, which every terminal knows."""
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
        shown, before, meant = _window(diagnostic, paint.width - len(number) - 4)
        lines.append(paint("dim", f" {number} |") + f" {shown}".rstrip())
        lines.append(paint("dim", f" {' ' * len(number)} |") + f" {' ' * before}{paint(colour, '^' * meant)}")
    if diagnostic.help:
        lines.append(f"help: {safe(diagnostic.help)}")
    return "\n".join(lines)


class _Cell(NamedTuple):
    """One character of a source line, as a terminal shows it."""

    text: str
    columns: int


def _cells(line: str) -> Iterator[_Cell]:
    place = 0
    for char in line:
        text = " " * (_TAB - place % _TAB) if char == "\t" else safe(char)
        columns = len(text) if len(text) != 1 or text.isascii() else _columns(text)
        place += columns
        yield _Cell(text, columns)


def _columns(char: str) -> int:
    """Return how many columns a character takes: none where it joins the one before, two where it is wide."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _window(diagnostic: Diagnostic, room: int) -> tuple[str, int, int]:
    """Return the part of the source line that fits, the columns before the place in it, and those of the place."""
    cells = list(_cells(diagnostic.source_line))
    start = min(diagnostic.source_column - 1, len(cells))
    stop = min(start + diagnostic.width, len(cells))
    room = max(room, _LEAST_ROOM)
    first, last = 0, len(cells)
    if _width(cells) > room:
        # The place stays in sight, with what stands before it: up to a third of the room.
        first = start - _fitting(cells[:start][::-1], room // 3)
        last = first + _fitting(cells[first:], room - 2 * len(_CUT))
    head = _CUT if first else ""
    tail = _CUT if last < len(cells) else ""
    before = len(head) + _width(cells[first:start])
    meant = max(1, _width(cells[start : min(stop, last)]))
    return head + "".join(cell.text for cell in cells[first:last]) + tail, before, meant


def _fitting(cells: Sequence[_Cell], room: int) -> int:
    """Return how many of the first cells fit."""
    used = 0
    for count, cell in enumerate(cells):
        used += cell.columns
        if used > room:
            return count
    return len(cells)


def _width(cells: Sequence[_Cell]) -> int:
    return sum(cell.columns for cell in cells)


def pages(diagnostics: Iterable[Diagnostic]) -> str:
    """Return the command that explains the codes of these diagnostics."""
    codes = sorted({item.code for item in diagnostics})
    more = f" and {len(codes) - _LISTED_CODES} more" if len(codes) > _LISTED_CODES else ""
    return f"`spyderresp explain-code {' '.join(codes[:_LISTED_CODES])}`{more}"


def counted(diagnostics: Iterable[Diagnostic]) -> str:
    """Return how many there are of each level: ``1 error, 2 warnings``."""
    found = [item.level for item in diagnostics]
    counts = [(level, found.count(level)) for level in ("error", "warning", "note")]
    said = [plural(count, level) for level, count in counts if count]
    return ", ".join(said) or "no findings"


def plural(count: int, noun: str) -> str:
    """Return ``1 error`` or ``1,200 errors``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
