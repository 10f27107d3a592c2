"""A policy set shaped like the vendor's library of 64, and process records of hosts that run them.

The names are ours; the shape is theirs: 25 policies for containers (an image glob, often pod labels and a namespace),
39 for services (one exact cgroup), each with one flag by default and nothing else.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import spyderresp
from workloads.model import INTEGER, NUMBER, Workload, policies_text, policy

_CONTAINERS, _SERVICES, _CONTEXTS = 25, 39, 600
_WORDS = ("atlas", "birch", "cedar", "delta", "ember", "flint", "grove", "heron", "inlet", "jetty", "kelp", "larch")
_DAEMONS = ("apt-daily", "auditd", "chronyd", "dbus", "docker", "irqbalance", "kubelet", "polkit", "rsyslog", "snapd")
_NOTE = "A provisional flag for a would-be policy violation; merge the policy with what runs here, then raise it."
_KERNEL = ("scsi_eh_12", "kworker/0:1", "ksoftirqd/0")


def vendor(*, seed: int = 11) -> Workload:
    """Return the workload."""
    draw = random.Random(seed)
    records = [_record(draw, fresh=False) for _ in range(_CONTEXTS)]
    openings = [_record(draw, fresh=True) for _ in range(_CONTEXTS)]
    return Workload(
        name="64 policies as vendors ship them",
        text=policies_text(_policies()),
        contexts=[_normal(record) for record in records],
        openings=[_normal(record) for record in openings],
    )


def records(count: int, *, seed: int = 12) -> list[bytes]:
    """Return process records as the vendor's agent writes them, before any adapter."""
    draw = random.Random(seed)
    return [
        json.dumps(_record(draw, fresh=False)).replace(f'"{INTEGER}"', str(n)).replace(NUMBER, str(n)).encode()
        for n in range(count)
    ]


def _normal(record: dict[str, Any]) -> str:
    """Return the template of a record's event, joined with the record of its container as a host joins them."""
    # The adapter takes the mark as any other text in the names; a number it would refuse.
    event = spyderresp.adapt({**record, "pid": 1})
    event["process"]["pid"] = INTEGER
    if record["container"] is not None:
        event |= {**spyderresp.adapt(_container(record["container"])), **event}
        event["container"] = spyderresp.adapt(_container(record["container"]))["container"]
    return json.dumps(event, separators=(",", ":"))


def _container(name: str) -> dict[str, Any]:
    """Return the record of the container that a process record names."""
    _, app, tag, mark = name.split("/")
    return {
        "schema": "model_container::1.1.0",
        "id": f"cont:ME0XlBajTxw:{NUMBER}",
        "muid": "mach:ME0XlBajTxw",
        "image": f"docker.io/vendor/{app}:{tag}",
        "image_id": "sha256:4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "container_id": name,
        "container_name": f"/k8s_{app}",
        "clustername": "prod-1",
        "pod_name": f"{app}-{NUMBER}",
        "pod_labels": {"k8s-app": app + mark, "app.kubernetes.io/name": app + mark},
        "pod_namespace": f"kube-system{mark}",
    }


def _unit(number: int) -> str:
    return f"{_DAEMONS[number % len(_DAEMONS)]}{number // len(_DAEMONS) or ''}.service"


def _app(number: int) -> str:
    return f"{_WORDS[number % len(_WORDS)]}-{number}"


def _image(number: int) -> str:
    return f"docker.io/vendor/{_app(number)}"


def _policies() -> Iterator[dict[str, Any]]:
    response = {"default": [{"makeRedFlag": {"severity": "info", "content": _NOTE}}], "actions": []}
    for number in range(_CONTAINERS):
        app = _app(number)
        image = f"*{app}:*" if number % 2 else f"{_image(number)}:*"
        spec: dict[str, Any] = {"containerSelector": {"image": image}}
        if number % 8 != 7:
            spec["podSelector"] = {"matchLabels": {"k8s-app": app, "app.kubernetes.io/name": app}}
            spec["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
        if number == 7:
            spec["machineSelector"] = {"hostname": "*.ec2.internal"}
        process = {"name": app, "exe": [f"/app/{app}"], "id": f"{app}_0", "euser": ["root"]}
        yield policy(f"{app}-policy", "container", {**spec, "processPolicy": [process], "response": response})
    for number in range(_SERVICES):
        unit = _unit(number)
        cgroup = {"cgroup": f"systemd:/system.slice/{unit}"}
        process = {"name": unit[:-8], "exe": [f"/usr/sbin/{unit[:-8]}"], "id": "0", "euser": ["root"]}
        spec = {"serviceSelector": cgroup, "processPolicy": [process], "response": response}
        yield policy(f"{unit}-policy", "linux-service", spec)


def _record(draw: random.Random, *, fresh: bool) -> dict[str, Any]:
    """Return a process record: of a container, a service, or neither, as hosts have them."""
    mark = NUMBER if fresh else ""
    kind = "container" if fresh else draw.choice(("container", "service", "service", "kernel"))
    app, cgroup, exe = _app(draw.randrange(_CONTAINERS)), "systemd:/", draw.choice(_KERNEL)
    if kind == "service":
        unit = _unit(draw.randrange(_SERVICES + 5))
        cgroup, exe = f"systemd:/system.slice/{unit}", f"/usr/sbin/{unit[:-8]}"
    elif kind == "container":
        exe = f"/app/{app}"
    return {
        "schema": "model_process::1.2.0",
        "id": f"proc:ME0XlBajTxw:YtCMvw:{NUMBER}",
        "time": 1657836000.25,
        "create_time": 1657834687.25,
        "muid": "mach:ME0XlBajTxw",
        "pid": INTEGER,
        "ppid": 1,
        "args": [exe, "--foreground"],
        "environ": {"PATH": "/usr/sbin:/usr/bin", "LANG": "C.UTF-8"},
        "name": exe.rpartition("/")[2] + mark,
        "euser": draw.choice(("root", "root", "daemon", "UID 999")) + mark,
        "exe": exe + mark,
        "cgroup": cgroup,
        # An id to the adapter; to the join above, what the container runs.
        "container": f"2478b61d/{app}/v1.{mark or draw.randrange(4)}/{mark}" if kind == "container" else None,
    }
