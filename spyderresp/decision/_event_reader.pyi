from collections.abc import Mapping
from typing import Any, final

FIELD: int
LABEL: int
NAMESPACE_NAME: int
IDENTITY: tuple[tuple[str, tuple[str, ...]], ...]

def entries(mapping: dict[Any, Any]) -> list[tuple[str, Any]] | None:
    """Return the items of a dict as they are read off its table; None where that is walked otherwise."""

@final
class EventReader:
    """Reads the values that policies name, and the identity of the target, from events."""

    def __new__(cls, scopes: tuple[str, ...], attributes: tuple[tuple[int, str, int], ...]) -> EventReader: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...
    @property
    def attributes(self) -> tuple[tuple[int, str, int], ...]: ...
    @property
    def wanted(self) -> tuple[dict[str, tuple[int, int]], ...]:
        """Keys that are read, of the event, of each scope, of each scope's labels: to the cells of their values."""
    def values(
        self, event: Mapping[str, Any], quick: bool = True
    ) -> tuple[tuple[str | int | float | None, ...], frozenset[str], bool]:
        """Return the cells of an event, the scopes present, and whether it was read the quick way.

        The cells: all attributes, a target's identity, id, time, policy_uid and policy_name.

        Raises:
            EventError: the event is malformed where it is checked.
        """
