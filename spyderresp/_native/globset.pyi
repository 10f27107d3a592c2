from typing import final

@final
class GlobSet:
    """Many globs, tried at once. Immutable."""

    def __new__(cls, patterns: tuple[str, ...]) -> GlobSet: ...
    @property
    def globs(self) -> tuple[object, ...]: ...
    def matching(self, value: str) -> tuple[list[int], int]:
        """Return the places of the globs that match, ascending, and how many were tried one by one."""
