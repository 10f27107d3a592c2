from typing import final

from spyderresp.decision._batch import ActionColumns, Batch

TEXT_COLUMNS: tuple[str, ...]
NUMBER_COLUMNS: tuple[str, ...]

@final
class PlainWords:
    def __new__(cls, columns: ActionColumns) -> PlainWords: ...
    @property
    def memory(self) -> int: ...

@final
class PlainActions:
    def __new__(cls, batch: Batch, words: PlainWords) -> PlainActions: ...
    @property
    def count(self) -> int: ...
    @property
    def sizes(self) -> dict[str, int]: ...
    def write(self, where: dict[str, int]) -> None: ...
