from typing import final

from spyderresp.decision._batch import ActionColumns, Batch

TEXT_COLUMNS: tuple[str, ...]
NUMBER_COLUMNS: tuple[str, ...]

@final
class PlainWords:
    """The texts of the columns of an index's actions, to be copied from."""

    def __new__(cls, columns: ActionColumns) -> PlainWords: ...
    @property
    def memory(self) -> int:
        """Bytes."""

@final
class PlainActions:
    """The actions of a complete batch, as columns without dictionaries."""

    def __new__(cls, batch: Batch, words: PlainWords) -> PlainActions: ...
    @property
    def count(self) -> int:
        """How many actions all rows have."""
    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of all texts of each column."""
    def write(self, where: dict[str, int]) -> None:
        """Write the columns.

        Args:
            where: address of each column's first byte: as int32 of ``rows``, each action's event, of ``place`` in its
                plan, of ``starts``, where the actions of each row start, and of each column of numbers; of each column
                of texts under ``offsets`` (int32) and ``texts`` and its name; of the bitmap of each column that may be
                null, under ``valid`` and its name. Columns of texts and bitmaps may be missing. Behind a column's texts
                32 bytes may be written to.
        """
