"""Plans as the tests compare them."""

from __future__ import annotations

from typing import Any

SOURCE_KEYS = ("policy", "section", "index")


def core(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the normative part of a plan's JSON form, which the oracle and the worked cases give."""
    return {
        "event": plan["event"],
        "policies": plan["policies"],
        "actions": [
            {
                "action": action["action"],
                "parameters": action["parameters"],
                "disposition": action["disposition"],
                "sources": [{key: source[key] for key in SOURCE_KEYS} for source in action["sources"]],
            }
            for action in plan["actions"]
        ],
    }
