"""The exceptions of the package, and what they carry.

Everything that the package raises derives from ``SpyderrespError``, except ``TypeError`` and ``ValueError`` for wrong
arguments and ``ImportError`` for a missing extra. ``tests/unit/test_errors.py`` holds that.

::

    SpyderrespError
      PolicyError (ValueError)      policies cannot be read; carries every diagnostic of the load
      EventError (ValueError)       an event cannot be decided; names the path in the event
      JournalError                  the journal cannot be read or written (spyderresp.journal)
      DeliveryError                 a sink could not deliver flags (spyderresp.executors)
      ExecutorError (ValueError)    a named executor cannot be found or made (spyderresp.executors.discovery)
      RetryableError, PermanentError, NoResponseError    one call to a remote system (spyderresp.executors.sinks)
      RecordedError                 a file of recorded events cannot be read (spyderresp.events.files)
      ConfigurationError, SecretError, SourceError, ClosedError    the service (spyderresp.service)
      UndecidedError, EmptyError    an analysis gave up, or has no witness (spyderresp.authoring.analysis)
      CommandError, FileChangedError    the command line ends with exit code 3 (spyderresp.cli)
      DocumentError, NotJsonError, TooManyFindingsError    inside loading; callers see PolicyError
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

Level = Literal["error", "warning", "note"]
_SHOWN_IN_ERROR = 20


class Location(NamedTuple):
    """A place in a policy text: its path, and line and column counted from 1 (both 0 for the whole file)."""

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
        width: how many columns to underline, at least 1.
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


class SpyderrespError(Exception):
    """The root of this package's own exceptions."""


class PolicyError(SpyderrespError, ValueError):
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


class EventError(SpyderrespError, ValueError):
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


class needs_extra:  # noqa: N801 - used as a statement: `with needs_extra(...)`
    """Name the extra that is missing where an import in the block fails.

    ::

        with needs_extra("arrow", "evaluate_batch()"):
            from spyderresp.decision.batch_result import evaluate_batch

    Args:
        extra: such as ``arrow``.
        feature: the feature that needs it, for the message.

    Raises:
        ImportError: the import failed; the message says how to install the extra.
    """

    def __init__(self, extra: str, feature: str) -> None:
        self._extra = extra
        self._feature = feature

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ImportError):
            message = f"{self._feature} needs the extra `{self._extra}` ({error})"
            raise ImportError(f"{message}: pip install 'spyderresp[{self._extra}]'") from error


#: The version of the package; pyproject.toml reads it from here.
__version__: Final = "0.1.0"
