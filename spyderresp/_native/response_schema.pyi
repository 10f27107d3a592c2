from typing import final

from spyderresp._native.checking import Checker
from spyderresp._native.selector_schema import SelectorReader

@final
class ResponseReader:
    """Reads the response of one policy document."""

    def __new__(cls, check: Checker, selectors: SelectorReader) -> ResponseReader: ...
