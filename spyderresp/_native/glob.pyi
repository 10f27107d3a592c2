from typing import final

@final
class Glob:
    """One compiled pattern. Immutable."""

    def __init__(self, pattern: str) -> None: ...
    @property
    def pattern(self) -> str:
        """The pattern as written."""

    def matches(self, value: str) -> bool:
        """Tell whether the whole value matches, as fnmatch.fnmatchcase(value, pattern) does."""

def literal(pattern: str) -> str | None:
    """Return the only text that the pattern matches, or None where it is a true glob."""
