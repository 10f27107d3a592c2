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

@final
class GlobSet:
    """Many globs, tried at once. Immutable."""

    def __new__(cls, patterns: tuple[str, ...]) -> GlobSet: ...
    @property
    def globs(self) -> tuple[object, ...]: ...
    def matching(self, value: str) -> tuple[list[int], int]:
        """Return the places of the globs that match, ascending, and how many were tried one by one."""
