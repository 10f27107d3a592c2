from collections.abc import Iterable, Mapping
from typing import Any, Literal, final, overload

from spyderresp.decision._index import DecisionIndex
from spyderresp.decision._plan import ActionPlan
from spyderresp.errors import EventError

@final
class JsonProjection:
    """Decides JSON texts of which, where it can, only what the policy set names is read."""

    def __new__(cls, index: DecisionIndex) -> JsonProjection: ...
    @property
    def index(self) -> DecisionIndex: ...
    def evaluate(self, data: bytes | bytearray | memoryview | str) -> ActionPlan:
        """Return the plan for one event as JSON text; bytes are UTF-8.

        Raises:
            EventError: the text is not JSON, or the event is malformed where it is checked.
        """

class EngineBase:
    """Decides events by an index that can be swapped."""

    def _serve(self, index: DecisionIndex) -> None:
        """Decide by another index from now on. Whole: no event sees a mixture."""
    def evaluate(self, event: Mapping[str, Any]) -> ActionPlan:
        """Return what to do about one event in the normal form.

        Raises:
            EventError: the event is malformed where it is checked; it is refused whole.
        """
    def evaluate_json(self, data: bytes | bytearray | memoryview | str) -> ActionPlan:
        """Return the plan for one event as JSON text; bytes are UTF-8. The same with the extra ``json``, but faster.

        Raises:
            EventError: the text is not JSON, or the event is malformed where it is checked.
        """
    @overload
    def evaluate_jsonl(self, buffer: bytes | str, *, on_error: Literal["raise"] = "raise") -> list[ActionPlan]:
        """Return the plans of JSON lines, in their order, all decided by one policy set; blank lines are passed over.

        Args:
            buffer: the lines.
            on_error: ``raise`` the first EventError, or ``collect``: it stands in the plan's place.
        """
    @overload
    def evaluate_jsonl(self, buffer: bytes | str, *, on_error: Literal["collect"]) -> list[ActionPlan | EventError]: ...
    @overload
    def evaluate_many(
        self, events: Iterable[Mapping[str, Any]], *, on_error: Literal["raise"] = "raise"
    ) -> list[ActionPlan]:
        """Return the plans of events, in their order, all decided by one policy set.

        Args:
            events: events in the normal form.
            on_error: ``raise`` the first EventError, or ``collect``: it stands in the plan's place.
        """
    @overload
    def evaluate_many(
        self, events: Iterable[Mapping[str, Any]], *, on_error: Literal["collect"]
    ) -> list[ActionPlan | EventError]: ...
