"""The facade: policies in once, plans out for every event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from spyderresp.decision._engine import EngineBase
from spyderresp.decision.compiler import Compiled, Defaults, NotIn, Options, compile_policies
from spyderresp.errors import needs_extra
from spyderresp.policies.policy_set import PolicySet

if TYPE_CHECKING:
    from spyderresp.decision.batch_result import BatchResult
    from spyderresp.decision.explain import Explanation

_OPTIONS: Final[dict[str, tuple[Any, ...]]] = {
    "defaults": get_args(Defaults),
    "not_in": get_args(NotIn),
    "mode": (None, "audit"),
}
#: Policies that are given back between two points where other threads may run.
_AT_ONCE: Final = 32


class Engine(EngineBase):
    """Decides events against one policy set. Immutable but for ``replace``; safe to share between threads.

    Args:
        policies: what ``load``, ``loads`` or ``from_documents`` returned.
        defaults: ``always`` takes default actions whenever a deviation occurs (the vendor's reference page);
            ``unless-overridden`` sets a default aside where an entry of the same name under ``actions`` fired.
        not_in: whether ``NotIn`` holds where the key is absent: ``kubernetes`` says yes, ``documented`` (the vendor's
            selectors page) says no.
        mode: ``audit`` makes every policy an audit policy: nothing is executed.

    Raises:
        TypeError: ``policies`` is not a PolicySet.
        ValueError: an option has a value that is not listed here.
    """

    __slots__ = ("_compiled", "_mode", "_options")

    def __init__(
        self,
        policies: PolicySet,
        *,
        defaults: Defaults = "always",
        not_in: NotIn = "kubernetes",
        mode: Literal["audit"] | None = None,
    ) -> None:
        for name, value in (("defaults", defaults), ("not_in", not_in), ("mode", mode)):
            if value not in _OPTIONS[name]:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, _OPTIONS[name]))}, not {value!r}")
        self._mode: Literal["audit"] | None = mode
        self._options = Options(defaults, not_in, mode == "audit")
        self._compiled = self._compile(policies)
        self._serve(self._compiled.index)

    def _compile(self, policies: PolicySet) -> Compiled:
        if not isinstance(policies, PolicySet):
            raise TypeError("an engine is made from a PolicySet: what load(), loads() or from_documents() return")
        return compile_policies(policies, self._options)

    @property
    def policies(self) -> PolicySet:
        """The policy set that decides now."""
        return self._compiled.policy_set

    def evaluate_batch(self, table: Any) -> BatchResult:
        """Return what to do about every row of a pyarrow RecordBatch, Table or RecordBatchReader (extra: ``arrow``).

        The columns are the keys of the normal form, the scopes as structs; null and a missing column are absence.

        Raises:
            EventError: a column that is checked has the wrong type, or holds what is no text.
            ImportError: pyarrow is not installed.
        """
        with needs_extra("arrow", "evaluate_batch()"):
            from spyderresp.decision.batch_result import evaluate_batch
        return evaluate_batch(self._compiled.index, table)

    def replace(self, policies: PolicySet) -> None:
        """Decide by other policies from now on. Whole: no event sees a mixture.

        A compile that fails raises, and the old policies keep deciding.
        """
        compiled = self._compile(policies)
        old, self._compiled = self._compiled, compiled
        self._serve(compiled.index)
        # Free the old policies in small steps: freeing all at once would hold the GIL and delay other threads.
        old.index.forget()
        held = list(old.policy_set)
        del old
        while held:
            del held[-_AT_ONCE:]

    def explain(self, event: Mapping[str, Any]) -> Explanation:
        """Return why each policy and action did or did not fire for one event, clause by clause.

        Raises:
            EventError: the event is malformed where it is checked.
        """
        from spyderresp.decision.explain import explain

        return explain(self._compiled, event)

    def stats(self) -> dict[str, Any]:
        """Return counts since the policies were loaded, and the index's shape and sizes, for monitoring."""
        compiled = self._compiled
        index = compiled.index
        program = index.program
        return {
            "policy_set": index.digest,
            "policies": len(compiled.policy_set),
            "enabled_policies": program.policy_count,
            "enabled_entries": program.entry_count,
            "attributes": program.attribute_count,
            "predicates": program.predicate_count,
            "selectors": program.selector_count,
            "exact_values": index.text_count,
            "globs": index.glob_count,
            "posts": program.post_count,
            "longest_row": program.longest_row(),
            "evaluated": index.evaluated,
            "memo_hits": index.memo_hits,
            "fired_hits": index.fired_hits,
            "unattributed": index.unattributed,
            "batch_memory": 0 if index.batching is None else index.batching.memory,
            **index.sizes(),
        }

    def __repr__(self) -> str:
        return f"Engine({self.policies!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.policies, self._options.defaults, self._options.not_in, self._mode)


def _rebuild(policies: PolicySet, defaults: Defaults, not_in: NotIn, mode: Literal["audit"] | None) -> Engine:
    return Engine(policies, defaults=defaults, not_in=not_in, mode=mode)
