"""Broad scopes: for the other native modules."""

from typing import final

from spyderresp._native.program import Program

@final
class Broad:
    """What is kept of one broad scope."""

    @property
    def names(self) -> tuple[str, ...]: ...

@final
class BroadMemo:
    """Broad scopes that were met before."""

    def __new__(cls, program: Program, most: int) -> BroadMemo: ...
    @property
    def used(self) -> int: ...
