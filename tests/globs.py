"""Globs as policies use them: one policy for each pattern, which an engine finds."""

from __future__ import annotations

from collections.abc import Sequence

import spyderresp


def engine(patterns: Sequence[str]) -> spyderresp.Engine:
    """Return an engine with a policy for each pattern, on the name of the cluster, named by the pattern's position."""
    return spyderresp.Engine(
        spyderresp.from_documents(
            {
                "apiVersion": "spyderbat/v1",
                "kind": "SpyderbatPolicy",
                "metadata": {"name": str(position), "type": "cluster"},
                "spec": {"mode": "audit", "clusterSelector": {"name": [pattern]}},
            }
            for position, pattern in enumerate(patterns)
        )
    )


def matching(engine: spyderresp.Engine, value: str) -> list[int]:
    """Return the positions of the patterns that match."""
    return [int(name) for name in engine.evaluate({"cluster": {"name": value}}).policies]
