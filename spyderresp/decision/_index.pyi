from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, final

from spyderresp.decision._event_reader import EventReader
from spyderresp.decision._plan import ActionPlan, PlanBuilder, PlanShape
from spyderresp.decision._program import Program
from spyderresp.decision._spec import IndexSpec

@final
class ShapeCache:
    """Shapes by what fired."""

    def __new__(cls, places: int, most: int) -> ShapeCache: ...

@final
class PolicyScope:
    """What is kept of one broad scope."""

@final
class ScopeCache:
    """Broad scopes that were met before."""

    def __new__(cls, program: Program, most: int) -> ScopeCache: ...

class Trace(NamedTuple):
    """What the index made of one event, whole: the ground of every explanation."""

    values: tuple[str | None, ...]
    present: frozenset[str]
    predicates: tuple[bool, ...]
    selectors: tuple[bool, ...]
    policies: tuple[int, ...]
    entries: tuple[int, ...]
    attribution: tuple[str, str, str] | None

@final
class DecisionIndex:
    """The compiled policy set. Its decisions never change; its memos may."""

    batching: Any
    """What ``evaluate_batch`` keeps from one batch to the next, or None."""
    def __new__(cls, spec: IndexSpec, digest: str, plan_builder: PlanBuilder) -> DecisionIndex: ...
    @property
    def reader(self) -> EventReader: ...
    @property
    def program(self) -> Program: ...
    @property
    def plan_builder(self) -> PlanBuilder: ...
    @property
    def digest(self) -> str: ...
    @property
    def memory(self) -> int:
        """Bytes that deciding needs, memos and caches apart."""
    @property
    def text_count(self) -> int:
        """Exact texts that predicates name, over all attributes."""
    @property
    def glob_count(self) -> int:
        """Globs that predicates name, over all attributes."""
    @property
    def evaluated(self) -> int: ...
    @property
    def memo_hits(self) -> int: ...
    @property
    def fired_hits(self) -> int: ...
    @property
    def broad_hits(self) -> int: ...
    @property
    def unattributed(self) -> int: ...
    def evaluate(self, event: Mapping[str, Any]) -> ActionPlan:
        """Return the plan for one event.

        Raises:
            EventError: the event is malformed where it is checked.
        """
    def evaluate_many(self, events: Iterable[Mapping[str, Any]]) -> list[ActionPlan]:
        """Return the plans of events, in their order.

        Raises:
            EventError: an event is malformed where it is checked.
        """
    def plan_of(self, event: Mapping[str, Any], shape: PlanShape, group: int) -> ActionPlan:
        """Return the plan that an event has by a decision that was made elsewhere.

        Raises:
            EventError: the event is malformed where it is checked.
        """
    def trace(self, event: Mapping[str, Any]) -> Trace:
        """Return every verdict on one event, of every predicate and selector."""
    def sizes(self) -> dict[str, int]:
        """Return sizes and counts: of the memos and caches, in entries and in bytes, and of what was looked at."""
    def forget(self) -> None:
        """Empty the memos, a little at a time, other threads running in between."""
