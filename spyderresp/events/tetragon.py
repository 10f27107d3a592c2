"""Converts Tetragon events in its JSON export format.

Sources: the table in docs/POLICY.md, section 2, and Tetragon's protocol (cilium/tetragon ``api/v1/tetragon``): one key
of ``GetEventsResponse`` names the kind of event and holds its ``process`` and ``parent``; ``exec_id`` identifies a
process over time and across nodes. Left out are image ids, which are references by digest (``name@sha256:...``) and not
the vendor's ``imageID``; and users, because ``uid`` is a number, and Tetragon looks ``user.name`` up later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spyderresp.errors import EventError
from spyderresp.events.field_readers import Fields, without_absent

#: The kinds of event with a process.
KINDS: Final = (
    "process_exec",
    "process_exit",
    "process_kprobe",
    "process_tracepoint",
    "process_uprobe",
    "process_lsm",
    "process_loader",
    "process_usdt",
)
#: The kinds of event without a process: Tetragon's reports about itself.
WITHOUT_PROCESS: Final = ("process_throttle", "rate_limit_info")
_MARKS: Final = frozenset(KINDS + WITHOUT_PROCESS)


def is_event(record: Mapping[str, Any]) -> bool:
    """Return whether a record is a Tetragon event."""
    return not _MARKS.isdisjoint(record)


def from_event(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a Tetragon record."""
    top = Fields(record)
    kind = next((kind for kind in KINDS if record.get(kind) is not None), None)
    if kind is None:
        other = next((kind for kind in WITHOUT_PROCESS if kind in record), None)
        if other is not None:
            raise EventError(other, f"tetragon events of kind `{other}` have no process")
        raise EventError(next((kind for kind in KINDS if kind in record), KINDS[0]), "is missing")
    content = top.needed(kind)
    process = content.needed("process")
    pod = process.within("pod")
    binary = process.text("binary")
    return without_absent(
        id=process.text("exec_id"),
        time=top.instant("time"),
        cluster=without_absent(name=top.text("cluster_name")),
        machine=without_absent(hostname=top.text("node_name")),
        namespace=without_absent(name=pod.text("namespace")),
        pod=without_absent(name=pod.text("name"), kuid=pod.text("uid"), labels=pod.labels("pod_labels")),
        container=_container(pod.within("container")),
        process=without_absent(
            name=None if binary is None else binary.rpartition("/")[2],
            exe=binary,
            pid=process.integer("pid"),
            ppid=content.within("parent").integer("pid"),
            start_time=process.instant("start_time"),
        ),
    )


def _container(container: Fields) -> dict[str, Any]:
    identity = container.text("id")
    return without_absent(
        image=container.within("image").text("name"),
        containerName=container.text("name"),
        # As in Kubernetes, the name of the runtime precedes the id: containerd://, docker://, cri-o://.
        containerID=None if identity is None else identity.rpartition("://")[2],
    )
