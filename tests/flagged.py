"""Events, plans and flag records for the tests of sinks."""

from __future__ import annotations

from typing import Any

import spyderresp
from spyderresp.execution.flags import Disclosure, allowed, flag_record
from spyderresp.execution.interfaces import Alarm
from spyderresp.execution.pipeline import Pipeline
from spyderresp.execution.steps import steps_of
from spyderresp.guards import Guard

POLICY = """
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: watch, type: cluster, uid: "pol:1"}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: "*"}}
  response:
    default:
      - makeRedFlag: {severity: high, impact: bad, content: seen, description: a shell in a pod}
      - makeOpsFlag: {severity: info}
"""
ENGINE = spyderresp.Engine(spyderresp.loads(POLICY, path="watch.yaml"))
EVENT: dict[str, Any] = {
    "id": "dev:1",
    "time": 1_700_000_000.25,
    "cluster": {"name": "c", "uid": "clus:1"},
    "machine": {"hostname": "node-7", "uid": "mach:1", "sourceName": "src"},
    "namespace": {"name": "shop", "labels": {"env": "prod"}},
    "pod": {
        "name": "cart-0",
        "uid": "pod:1",
        "kuid": "a8f2f824-0000-4000-8000-000000000001",
        "labels": {"app": "cart"},
    },
    "container": {"image": "cart:1", "imageID": "sha256:1", "containerName": "cart", "containerID": "0b1c"},
    "service": {"name": "docker.service", "cgroup": "systemd:/system.slice/docker.service"},
    "process": {
        "name": "sh",
        "exe": "/bin/sh",
        "euser": "root",
        "pid": 7,
        "ppid": 1,
        "uid": "proc:1",
        "start_ticks": 99,
        "boot_id": "b-1",
        "start_time": 1_700_000_000,
    },
}


def records(
    event: dict[str, Any] | None = None, disclosure: Disclosure | None = None, arrived: float = 1_700_000_001.0
) -> list[dict[str, Any]]:
    """Return the red and the ops flag of an event."""
    event = EVENT if event is None else event
    plan = ENGINE.evaluate(event)
    return [
        flag_record(step) for step in steps_of(plan, arrived=arrived, event=event, record=allowed(event, disclosure))
    ]


def alarm_record(**details: Any) -> dict[str, Any]:
    """Return the record of a guard's alarm, made the way `execute` makes it."""
    alarm = Alarm("breaker:overall", "the breaker opened", details, 1_700_000_000.0)
    sink = Noting()
    Pipeline([sink], Guard(), None).carry_out([], [alarm])
    (record,) = sink.records
    return dict(record)


def many(count: int, **more: Any) -> list[dict[str, Any]]:
    """Return red flags of so many events."""
    return [records({**EVENT, **more, "id": f"dev:{number}"})[0] for number in range(count)]


class Noting:
    """A sink that keeps what it is given."""

    name = "noting"
    actions = frozenset({"makeRedFlag", "makeOpsFlag"})
    local = True

    def __init__(self) -> None:
        self.records: list[Any] = []

    def resolve(self, step: object, protection: object) -> Any:
        raise AssertionError("a sink delivers")

    def deliver(self, records: list[Any]) -> None:
        self.records += records

    def close(self) -> None: ...
