"""Holds an engine's answers against the oracle."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import spyderresp
from spyderresp.decision import reference
from workloads.model import Workload, decoder

_ACTION = ("action", "parameters", "disposition")
_SOURCE = ("policy", "section", "index")


def plain(plan: dict[str, Any]) -> dict[str, Any]:
    """Return what of a plan's JSON form the oracle gives too."""
    actions = [
        {
            **{key: action[key] for key in _ACTION},
            "sources": [{key: source[key] for key in _SOURCE} for source in action["sources"]],
        }
        for action in plan["actions"]
    ]
    return {"event": plan["event"], "policies": list(plan["policies"]), "actions": actions}


def assert_answers(workload: Workload, engine: spyderresp.Engine, texts: Iterable[bytes]) -> int:
    """Hold the engine's plans against the oracle's and return how many actions fired in all.

    Raises:
        AssertionError: they differ.
    """
    decode = decoder()
    fired = 0
    for text in texts:
        wanted = reference.evaluate(workload.policies, decode(text))
        found = plain(engine.evaluate(decode(text)).to_dict())
        assert found == wanted, f"{workload.name}: not the oracle's plan for {text!r}"
        fired += len(found["actions"])
    return fired
