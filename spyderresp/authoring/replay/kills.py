"""When breakers would have opened: the guard's own breakers, at the events' own times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Final

from spyderresp.authoring.replay._breaking import step_breakers
from spyderresp.authoring.replay._kills import Kills
from spyderresp.execution.guards.circuit_breakers import KILLS, Limits
from spyderresp.policies.policy_set import PolicySet
from spyderresp.policies.vocabulary import TARGET_SCOPE


@dataclass(frozen=True, slots=True)
class BreakerTrip:
    """A breaker that would have opened.

    Attributes:
        time: epoch seconds.
        name: such as ``overall`` or ``namespace shop``.
        limit: how many targets it allows.
        refused: how many kills it refused until it closed again, the first among them.
    """

    time: float
    name: str
    limit: int
    refused: int


@dataclass(frozen=True, slots=True)
class BreakerReplay:
    """What breakers would have done.

    Attributes:
        openings: in order of time.
        refused: kills refused by any of them.
        allowed: kills that none stood in the way of.
    """

    openings: tuple[BreakerTrip, ...]
    refused: int
    allowed: int


def breakers(kills: Kills, limits: Limits) -> BreakerReplay:
    """Return what breakers would have done, were every event decided at its own time.

    Args:
        kills: in any order.
        limits: those of the guard; it starts with the first kill.
    """
    openings, refused, allowed = step_breakers(kills, astuple(limits))
    return BreakerReplay(tuple(BreakerTrip(*opening) for opening in openings), refused, allowed)


# The fields that identify a kill target; ``_kills`` builds the key from them.
# Pod: Kubernetes UID, else Spyderbat UID, else cluster, namespace and name.
# Process: uid, else machine, boot, start time and pid.

#: What tells processes apart where they have no uid, before their number: the machine, and when it began. In order.
PROCESS: Final = ("machine.uid", "machine.hostname", "process.boot_id", "process.start_ticks", "process.start_time")
POD: Final = ("cluster.uid", "cluster.name", "namespace.name", "pod.name")


def target_paths(policies: PolicySet) -> tuple[str, ...]:
    """Return the paths that identify the kill targets of these policies, without those of ``fallback_paths``."""
    targets = {TARGET_SCOPE[entry.action] for policy in policies for entry in policy.entries if entry.action in KILLS}
    pod = ("pod.kuid", "pod.uid", *POD) if "pod" in targets else ()
    process = ("process.uid", "process.name") if "process" in targets else ()
    return (*pod, *process, *(("namespace.name",) if targets else ()))


def fallback_paths(policies: PolicySet) -> Mapping[str, tuple[str, ...]]:
    """Return, by a path of ``target_paths``, the paths that are looked at where it has no value."""
    return {"process.uid": (*PROCESS, "process.pid")} if "process.uid" in target_paths(policies) else {}
