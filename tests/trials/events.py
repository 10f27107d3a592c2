"""Steps for the rig: one action against one process, as an enforcing policy plans it."""

from __future__ import annotations

from typing import Any

import spyderresp
from spyderresp.executors.local.procfs import Proc, ProcessStat
from spyderresp.guards import Guard, Limits

PROC = Proc()
UNLIMITED = Limits(policy=10**9, namespace=10**9, overall=10**9, warm_up=10**9)


def engine_for(*actions: str, priority: int = 10) -> spyderresp.Engine:
    def entry(action: str) -> dict[str, Any]:
        return {action: {"priority": str(priority)} if action == "agentReniceProcess" else {}}

    return spyderresp.Engine(
        spyderresp.from_documents(
            [
                {
                    "apiVersion": "spyderbat/v1",
                    "kind": "SpyderbatPolicy",
                    "metadata": {"name": "rig", "type": "cluster"},
                    "spec": {
                        "mode": "enforce",
                        "clusterSelector": {"matchFields": {"name": "rig"}},
                        "response": {"default": [entry(action) for action in actions]},
                    },
                }
            ]
        )
    )


def guard(**settings: Any) -> Guard:
    return Guard(kill_switch=None, **{"limits": UNLIMITED, **settings})


def event_of(pid: int, **more: Any) -> dict[str, Any]:
    """Return an event about a process as it is now, with its exact identity."""
    look = PROC.stat(pid)
    assert isinstance(look, ProcessStat), f"there is no process {pid}"
    process = {
        "name": look.name,
        "exe": PROC.exe(pid),
        "pid": pid,
        "ppid": look.ppid,
        "start_ticks": look.start_ticks,
        "boot_id": PROC.boot_id(),
    }
    return {
        "cluster": {"name": "rig"},
        "machine": {"hostname": "rig-host", "uid": "mach:rig"},
        "process": {**process, **more.pop("process", {})},
        **more,
    }
