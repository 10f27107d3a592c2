from typing import final

@final
class Texts:
    """The texts of one load, each kept once."""

    def __new__(cls) -> Texts: ...
