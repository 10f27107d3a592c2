from typing import final

from spyderresp._native.checking import Checker

@final
class SelectorReader:
    """Reads the selectors of one document."""

    def __new__(cls, check: Checker) -> SelectorReader: ...
