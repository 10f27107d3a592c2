"""The process that a deviation adds to its policy's tree of processes.

A ``processPolicy`` lists either new roots or ``policyNode`` entries, which name a node of the policy by ``id`` and
hang new ``children`` on it (spyctl ``schemas_v2.py``: ``GuardDeviationNodeModel``). The node that deviates is the
leaf: those above it lead to it.
"""

from __future__ import annotations

from typing import Any

from spyderresp.adapters.fields import Fields, filled
from spyderresp.errors import EventError

#: Far deeper than the ancestry of any real process. Walked without recursion, so that a hostile record is an error.
MAX_DEPTH = 256


def deviating_process(entries: list[Fields]) -> dict[str, Any]:
    """Return name, exe and euser of the first leaf, in the order of the document; empty where there is none.

    One deviation has one process, and so one leaf; of several the first is taken.
    """
    leaf = _first_leaf(entries)
    if leaf is None:
        return {}
    return filled(name=leaf.text("name"), exe=leaf.only_text("exe"), euser=leaf.only_text("euser"))


def _first_leaf(entries: list[Fields]) -> Fields | None:
    """Walk in the order of the document, down to the first node with a name or an exe that has none below it."""
    leaf: Fields | None = None
    leaf_depth = 0
    waiting = [(entry, 1) for entry in reversed(entries)]
    while waiting:
        node, depth = waiting.pop()
        if leaf is not None and depth <= leaf_depth:
            break  # All below the leaf has been seen.
        if depth > MAX_DEPTH:
            raise EventError(node.path, f"is nested more than {MAX_DEPTH} processes deep")
        if node.values.get("policyNode") is not None:
            # Known to the policy by its id: it holds no process of its own.
            node = node.within("policyNode")
        elif node.values.get("name") is not None or node.values.get("exe") is not None:
            leaf, leaf_depth = node, depth
        waiting.extend((child, depth + 1) for child in reversed(node.mappings("children")))
    return leaf
