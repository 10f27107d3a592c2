from collections.abc import Mapping
from typing import Any, final

FIELD: int
LABEL: int
NAMESPACE_NAME: int
IDENTITY: tuple[tuple[str, tuple[str, ...]], ...]

def entries(mapping: dict[Any, Any]) -> list[tuple[str, Any]] | None: ...

@final
class EventReader:
    def __new__(cls, scopes: tuple[str, ...], attributes: tuple[tuple[int, str, int], ...]) -> EventReader: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...
    @property
    def attributes(self) -> tuple[tuple[int, str, int], ...]: ...
    @property
    def wanted(self) -> tuple[dict[str, tuple[int, int]], ...]: ...
    def values(
        self, event: Mapping[str, Any], quick: bool = True
    ) -> tuple[tuple[str | int | float | None, ...], frozenset[str], bool]: ...
