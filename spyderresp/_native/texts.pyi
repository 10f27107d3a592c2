from typing import final

@final
class Texts:
    """The texts of one load, each kept once."""

    def __new__(cls) -> Texts: ...
    def forget(self) -> None:
        """Let go of the keys met so far where they are many; only between two texts, when no tree is in use."""
