from typing import final

from spyderresp._native.arrange import Arranger

NULLABLE: tuple[str, ...]
"""Columns that may be null."""

@final
class ActionColumns:
    """What every entry of a policy set says, as numbers: the columns of a batch's actions are made of it."""

    def __new__(cls, arranger: Arranger) -> ActionColumns: ...
    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """The texts of each column of texts, by its name."""
    @property
    def memory(self) -> int:
        """Bytes, the texts apart."""
