"""The best pure Python on a stream that repeats: a memo of whole decisions, its reader generated for the policy set."""

from __future__ import annotations

from typing import Any, NamedTuple

from peers.named import attributes
from peers.python_exact import ExactAndPrefixDict
from peers.reading import Reads, compiled
from peers.shapes import Shape
from spyderresp.policies.policy_set import PolicySet

MEMO = 65_536


class PythonPlan(NamedTuple):
    """A plan as plain Python would return it: the shape is shared, the rest is the event's own."""

    event: Any
    shape: Shape
    target: tuple[Any, ...] | None


class MemoDict:
    """Named values to a shape; a decision not yet seen goes the way of ``ExactDict``.

    A value of a wrong type is in no key of the memo, so that nothing is checked twice.
    """

    name = "Python, whole-decision memo"

    def __init__(self, policies: PolicySet) -> None:
        reads = Reads(attributes(policies))
        # Attribution is part of a decision.
        parts = ["get('policy_uid')", "get('policy_name')", *reads.present.values(), *reads.values.values()]
        lines = [
            "def made(event):",
            *reads.lines,
            f" key = ({', '.join(parts)},)",
            " shape = known(key)",
            " if shape is None:",
            "  shape = decide(event)",
            f"  if len(memo) >= {MEMO}: memo.clear()",
            "  memo[key] = shape",
            f" return new(plan, (get('id'), shape, ({', '.join(reads.identity)},) if shape.actions else None))",
        ]
        memo: dict[tuple[Any, ...], Shape] = {}
        decide = ExactAndPrefixDict(policies).decide
        self.evaluate = compiled(lines, known=memo.get, memo=memo, decide=decide, plan=PythonPlan, new=tuple.__new__)
