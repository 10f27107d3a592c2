from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, final

from spyderresp._native.plan import ActionPlan, PlanShape
from spyderresp._native.reader import EventReader
from spyderresp.compiler import IndexSpec

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
class GlobField:
    """The globs of one attribute; of no use outside this module."""

    def __new__(cls, patterns: tuple[str, ...], known: int) -> GlobField: ...

@final
class DecisionIndex:
    """The compiled policy set. Its decisions never change; its memos may."""

    def __new__(cls, spec: IndexSpec, digest: str, shapes: Callable[[bytes], PlanShape]) -> DecisionIndex: ...
    @property
    def reader(self) -> EventReader: ...
    @property
    def spec(self) -> IndexSpec: ...
    @property
    def digest(self) -> str: ...
    @property
    def evaluated(self) -> int: ...
    @property
    def memo_hits(self) -> int: ...
    @property
    def fired_hits(self) -> int: ...
    @property
    def unattributed(self) -> int: ...
    def evaluate(self, event: Mapping[str, Any]) -> ActionPlan:
        """Return the plan for one event.

        Raises:
            EventError: the event is malformed where it is checked.
        """
    def trace(self, event: Mapping[str, Any]) -> Trace:
        """Return every verdict on one event, of every predicate and selector."""
    def memory(self) -> dict[str, int]:
        """Return sizes: of the memos, in entries and in weight, and of the glob caches, in entries."""
    def forget(self) -> None:
        """Empty the memos and caches."""
