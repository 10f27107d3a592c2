"""What tells one pod or process from others, by what events say. Of a batch's rows ``_native.kills`` says the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

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


def of_pod(target: Any) -> str:
    """Return what tells a pod from others: the Kubernetes UID, the vendor's, or namespace and name; or nothing."""
    for path in ("pod.kuid", "pod.uid"):
        if target[path] is not None:
            return str(target[path])
    return _joined(target, POD) if target["pod.name"] is not None else ""


def of_process(target: Any) -> str:
    """Return what tells a process from others: its uid, else machine, pid and start; else empty."""
    if target["process.uid"] is not None:
        return str(target["process.uid"])
    if target["process.pid"] is None:
        return ""
    return f"{_joined(target, PROCESS)}/{target['process.pid']}"


def told(target: Any) -> tuple[str | None, tuple[str, str | None], tuple[str, str | None]]:
    """Return a target's namespace, and what tells its process and its pod from others, each with its name."""
    process, pod = _text(target["process.name"]), _text(target["pod.name"])
    return _text(target["namespace.name"]), (of_process(target), process), (of_pod(target), pod)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _joined(target: Any, paths: tuple[str, ...]) -> str:
    return "/".join("" if target[path] is None else str(target[path]) for path in paths)
