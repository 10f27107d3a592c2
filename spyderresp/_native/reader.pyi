from collections.abc import Mapping
from typing import Any, final

FIELD: int
LABEL: int
NAMESPACE_NAME: int

@final
class EventReader:
    """Reads the named values out of events."""

    def __new__(cls, scopes: tuple[str, ...], attributes: tuple[tuple[int, str, int], ...]) -> EventReader: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...
    @property
    def attributes(self) -> tuple[tuple[int, str, int], ...]: ...
    def values(self, event: Mapping[str, Any]) -> tuple[tuple[str | None, ...], frozenset[str]]:
        """Return the values of all attributes, policy_uid and policy_name, and the scopes present.

        Raises:
            EventError: the event is malformed where it is checked.
        """
