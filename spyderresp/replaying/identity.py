"""What tells one pod or process from others, by what events say; ``_native.kills`` reads it.

A pod by its Kubernetes UID, else the vendor's, else by what is joined here, where it has a name; a process by its uid,
else by what is joined here and its pid, where it has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spyderresp.guards.breakers import KILLS
from spyderresp.policy import PolicySet
from spyderresp.vocabulary import TARGET_SCOPE

#: What tells processes apart where they have no uid, before their number: the machine, and when it began. In order.
PROCESS: Final = ("machine.uid", "machine.hostname", "process.boot_id", "process.start_ticks", "process.start_time")
POD: Final = ("cluster.uid", "cluster.name", "namespace.name", "pod.name")


def whom(policies: PolicySet) -> tuple[str, ...]:
    """Return the paths that are looked at to tell whom kills of these policies strike, beside those of ``instead``."""
    targets = {TARGET_SCOPE[entry.action] for policy in policies for entry in policy.entries if entry.action in KILLS}
    pod = ("pod.kuid", "pod.uid", *POD) if "pod" in targets else ()
    process = ("process.uid", "process.name") if "process" in targets else ()
    return (*pod, *process, *(("namespace.name",) if targets else ()))


def instead(policies: PolicySet) -> Mapping[str, tuple[str, ...]]:
    """Return, by a path of ``whom``, the paths that are looked at where it has no value."""
    return {"process.uid": (*PROCESS, "process.pid")} if "process.uid" in whom(policies) else {}
