from typing import final

@final
class Glob:
    """One compiled pattern. Immutable."""

    def __new__(cls, pattern: str) -> Glob: ...
    @property
    def pattern(self) -> str:
        """The pattern as written."""

    def matches(self, value: str) -> bool:
        """Tell whether the whole value matches, as fnmatch.fnmatchcase(value, pattern) does."""

def literal(pattern: str) -> str | None:
    """Return the only text that the pattern matches, or None where it is a true glob."""
