"""The best pure Python on a stream that repeats: a memo of whole decisions, its reader generated for the policy set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from peers.named import IDENTITY, LABELLED, attributes
from peers.python_exact import ExactDict, Shape
from spyderresp.policy import PolicySet
from spyderresp.reference import NAME_LABEL, SCOPES

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

    def __init__(self, policies: PolicySet) -> None:
        self.exact = ExactDict(policies)
        self.evaluate = _generate(policies, self.exact.decide)


def _generate(
    policies: PolicySet, decide: Callable[[Mapping[str, Any], tuple[Any, ...]], Shape]
) -> Callable[[Mapping[str, Any]], PythonPlan]:
    """Return a function whose every read of the event is written out, as one would by hand for a fixed policy set."""
    names = attributes(policies)
    lines = ["def evaluate(event):", " get = event.get"]
    # Attribution is part of a decision.
    parts, own = ["get('policy_uid')", "get('policy_name')"], []
    for scope in SCOPES:
        keys = [key for held, key in names if held == scope]
        if not keys and scope not in IDENTITY:
            continue
        lines += [f" {scope} = get({scope!r})", f" {scope}_get = none if {scope} is None else {scope}.get"]
        parts.append(f"{scope} is None")
        if scope in LABELLED:
            lines += [f" labels = {scope}_get('labels')", f" {scope}_label = none if labels is None else labels.get"]
            if (scope, NAME_LABEL) in names and scope == "namespace":
                parts.append("namespace_get('name')")
            parts += [f"{scope}_label({key!r})" for key in keys]
        else:
            parts += [f"{scope}_get({key!r})" for key in keys]
        own += [f"{scope}_get({key!r})" for key in IDENTITY.get(scope, ())]
    lines += [
        f" key = ({', '.join(parts)},)",
        " shape = known(key)",
        " if shape is None:",
        "  shape = decide(event, key)",
        f"  if len(memo) >= {MEMO}: memo.clear()",
        "  memo[key] = shape",
        f" return new(plan, (get('id'), shape, ({', '.join(own)},) if shape.actions else None))",
    ]
    memo: dict[tuple[Any, ...], Shape] = {}
    scope_of = {
        "known": memo.get,
        "memo": memo,
        "decide": decide,
        "plan": PythonPlan,
        "new": tuple.__new__,
        "none": lambda _: None,
    }
    exec("\n".join(lines), scope_of)
    made: Callable[[Mapping[str, Any]], PythonPlan] = scope_of["evaluate"]  # type: ignore[assignment]
    return made
