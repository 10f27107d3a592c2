"""Events and policies for Spark, and what every Spark must make of them: Connect and the JVM alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import spyderresp

SCHEMA = (
    "id string, cluster struct<name:string>, process struct<exe:string>,"
    " pod struct<name:string, labels:map<string,string>>, unread binary"
)


def documents(name: str) -> list[dict[str, Any]]:
    def one(number: int) -> dict[str, Any]:
        return {
            "apiVersion": "spyderbat/v1",
            "kind": "SpyderbatPolicy",
            "metadata": {"name": f"{name}{number}", "type": "cluster"},
            "spec": {
                "mode": "enforce",
                "clusterSelector": {"name": [f"prod-{number}", "prod-x*"]},
                "response": {
                    "default": [{"makeRedFlag": {"severity": "high", "content": f"é {number}"}}],
                    "actions": [
                        {"agentKillPod": {"podSelector": {"matchLabels": {"app": "shop"}}}},
                        {"agentKillPod": {"processSelector": {"exe": "/bin/*"}}},
                        {"agentKillProcess": {"processSelector": {"exe": "/tmp/*"}}},
                    ],
                },
            },
        }

    return [one(number) for number in range(5)]


def policies(name: str = "p") -> spyderresp.PolicySet:
    return spyderresp.from_documents(documents(name))


def pod(number: int) -> dict[str, Any] | None:
    # Of a pod only labels are named: whether it is there has to arrive all the same, with nothing in it too.
    if number % 13 == 0:
        return None
    return {} if number % 17 == 0 else {"name": f"pod{number}", "labels": {"app": "shop" if number % 2 else "till"}}


def events(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"e{number}",
            "cluster": {"name": f"prod-{number % 7}"} if number % 11 else None,
            "process": {"exe": "/tmp/x" if number % 3 else "/bin/sh"} if number % 5 else None,
            "pod": pod(number),
        }
        for number in range(count)
    ]


def wanted(engine: spyderresp.Engine, said: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the rows of all actions, sorted."""
    return sorted(
        (event["id"], place, action["action"], action["disposition"], action["sources"][0]["policy"])
        for event in said
        for place, action in enumerate(engine.evaluate(event).to_dict()["actions"])
    )


def found(rows: list[Any]) -> list[tuple[Any, ...]]:
    """Return the same of collected rows."""
    assert all(row["error"] is None for row in rows)
    return sorted(tuple(row[name] for name in ("id", "place", "action", "disposition", "policy")) for row in rows)


def write(said: list[dict[str, Any]], path: Path) -> None:
    path.write_text("".join(f"{json.dumps(event)}\n" for event in said))
