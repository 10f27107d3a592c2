"""Seeded workloads: synthetic policy sets of any size, and streams of events that repeat or never do."""

from __future__ import annotations

import json
import random
from typing import Any

import spyderresp

NAMESPACES = 400


def policies(count: int, seed: int = 7) -> spyderresp.PolicySet:
    """Return policies of which a few are in scope of each event; one in ten selects by a glob."""
    draw = random.Random(seed)
    documents = []
    for number in range(count):
        image = f"registry.example/app-{draw.randrange(max(1, count // 3))}"
        spec = {
            "mode": draw.choice(("audit", "enforce")),
            "containerSelector": {"image": f"{image}:*" if number % 10 == 0 else [f"{image}:1", f"{image}:2"]},
            "clusterSelector": {"name": f"cluster-{draw.randrange(5)}"},
            "namespaceSelector": {
                "matchExpressions": [{"key": "team", "operator": "NotIn", "values": [f"team-{draw.randrange(20)}"]}]
            },
            "response": {
                "default": [{"makeRedFlag": {"severity": "high"}}],
                "actions": [
                    {"agentKillProcess": {"processSelector": {"exe": [f"/bin/tool-{draw.randrange(50)}", "/tmp/*"]}}},
                ],
            },
        }
        metadata = {"name": f"policy-{number}", "type": "container", "uid": f"pol:{number}"}
        documents.append({"apiVersion": "spyderbat/v1", "kind": "SpyderbatPolicy", "metadata": metadata, "spec": spec})
    return spyderresp.from_documents(documents)


def events(count: int, size: int, *, fresh: bool, seed: int = 8) -> list[bytes]:
    """Return events as JSON texts, decoded anew for each use so that no hash is cached.

    Args:
        count: how many.
        size: of the policy set that they are for.
        fresh: make every image, path and team one that was never seen; few policies match then.
    """
    draw = random.Random(seed)
    texts = []
    for number in range(count):
        mark = f"-{number}" if fresh else ""
        image = f"registry.example/app-{draw.randrange(max(1, size // 3))}:{draw.randrange(3)}"
        event: dict[str, Any] = {
            "id": f"event-{number}",
            "cluster": {"name": f"cluster-{draw.randrange(5)}", "uid": "clus:1"},
            "machine": {"hostname": f"node-{draw.randrange(200)}", "uid": "mach:1"},
            "namespace": {
                "name": f"ns-{draw.randrange(NAMESPACES)}",
                "labels": {"team": f"team-{draw.randrange(20)}{mark}"},
            },
            "pod": {"name": f"pod-{number}", "kuid": f"kuid-{number}", "labels": {"app": "web"}},
            "container": {"image": image + mark, "containerID": f"id-{number}"},
            "process": {"name": "tool", "exe": f"/bin/tool-{draw.randrange(60)}{mark}", "euser": "root", "pid": number},
        }
        texts.append(json.dumps(event).encode())
    return texts
