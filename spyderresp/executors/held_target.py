"""``HeldTarget``: a target that needs nothing to be released, because its identity is in every request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spyderresp.execution.report import Result


@dataclass(frozen=True, slots=True)
class HeldTarget:
    """A ``Held`` target whose ``act`` calls ``action``; ``release`` does nothing."""

    identity: str
    namespace: str | None
    facts: Mapping[str, Any]
    action: Callable[[], Result]

    def act(self) -> Result:
        """Carry the step out."""
        return self.action()

    def release(self) -> None:
        """Do nothing."""
