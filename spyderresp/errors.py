"""What can go wrong, as values and as exceptions.

::

    ValueError
      SpyderrespError
        PolicyError    a policy cannot be read; carries every diagnostic of the load
        EventError     an event cannot be decided; names the path in the event
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Final, Literal, NamedTuple

Level = Literal["error", "warning", "note"]
_SHOWN_IN_ERROR = 20


class Location(NamedTuple):
    """A place in a policy text: its path, and line and column counted from 1 (0 where the whole file is meant)."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path


class Edit(NamedTuple):
    """A part of a text, from ``start`` up to ``end`` in characters, and what to put in its place."""

    start: int
    end: int
    text: str


class Fix(NamedTuple):
    """How a finding can be mended.

    Attributes:
        title: what it does, such as ``add `mode: audit` ``.
        edits: in the text that the finding is about, in order, none overlapping another.
        safe: whether every plan stays the same.
    """

    title: str
    edits: tuple[Edit, ...]
    safe: bool = True


class Diagnostic(NamedTuple):
    """One finding about a policy text.

    Attributes:
        code: ``SR`` and three digits; stable, and documented one by one under ``docs/codes/``.
        level: ``error``, ``warning`` or ``note``.
        message: lower case, the author's own text in backticks.
        location: where.
        help: what to do about it, or an empty text.
        source_line: the line of the source text that the location names (a window of it, if long), or an empty text.
        source_column: where in ``source_line`` the place is, from 1.
        width: how many columns of it are meant, at least 1.
        fix: how ``check --fix`` mends it, where it can; loading alone does not look for one.
    """

    code: str
    level: Level
    message: str
    location: Location
    help: str = ""
    source_line: str = ""
    source_column: int = 1
    width: int = 1
    fix: Fix | None = None

    def __str__(self) -> str:
        return f"{self.location}: {self.level}[{self.code}]: {self.message}"


class SpyderrespError(ValueError):
    """The root of this package's own exceptions."""


class PolicyError(SpyderrespError):
    """Policies cannot be read.

    Attributes:
        diagnostics: every finding of the load, in reading order, warnings and notes among them.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        errors = self.errors
        lines = [str(error) for error in errors[:_SHOWN_IN_ERROR]]
        if len(errors) > _SHOWN_IN_ERROR:
            lines.append(f"... and {len(errors) - _SHOWN_IN_ERROR} more errors")
        super().__init__("\n".join(lines))

    @property
    def errors(self) -> Sequence[Diagnostic]:
        """The findings that made this an error."""
        return [item for item in self.diagnostics if item.level == "error"]

    def __reduce__(self) -> tuple[type[PolicyError], tuple[tuple[Diagnostic, ...]]]:
        return type(self), (self.diagnostics,)


class EventError(SpyderrespError):
    """An event cannot be decided, as a whole.

    Attributes:
        path: where in the event, such as ``process.name`` or ``namespace.labels.env``; empty for the event itself.
        reason: what is wrong there.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}" if path else reason)

    def __reduce__(self) -> tuple[type[EventError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


# Modules that are looked for where they are needed: optional ones, and those that deciding can do without.


def optional(module: str) -> ModuleType | None:
    """Return a module, or None where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def later(module: str) -> ModuleType:
    """Return a module of this package that costs too much to be imported by whoever only decides."""
    return importlib.import_module(module)


def needed(module: str, extra: str, what: str) -> ModuleType:
    """Return a module of this package that needs an extra.

    Raises:
        ImportError: the extra is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{what} needs the extra `{extra}` ({error}): pip install 'spyderresp[{extra}]'") from error


# The one place where the version stands.

__version__: Final = "0.1.0"
