"""Converts Falco alerts in its JSON output format.

Sources: the table in docs/POLICY.md, section 2, and Falco's own field definitions (falcosecurity/libs,
``sinsp_filtercheck_container.cpp``, ``sinsp_filtercheck_k8s.cpp``; the ``container`` plugin follows them):

- ``<NA>`` stands for an unknown value.
- ``container.id`` and ``container.name`` are ``host`` for a process outside containers.
- ``k8s.pod.labels`` has the form ``a:b, c:d``; a label with an empty value has no colon. The key of a
  ``k8s.pod.label`` follows a dot or is in brackets. ``k8s.pod.id`` is the old name of ``k8s.pod.uid``.
- ``proc.pid.ts`` is the start of the process in epoch nanoseconds, if the rule's output contains it.
- ``proc.exepath`` is the resolved path. ``proc.exe`` is argv[0], which the process chooses itself.
- ``container.image.id`` (shortened) and ``container.image.digest`` (from the registry) differ from the vendor's
  ``imageID`` and are left out: a policy that names an ``imageID`` would match by accident or never.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spyderresp.events.field_readers import Fields, without_absent

_UNKNOWN = "<NA>"
_HOST = "host"
_LABELS = "k8s.pod.labels"
_LABEL = re.compile(r"k8s\.pod\.label(?:\.(.+)|\[([^\]]+)\])", re.DOTALL)
_LISTED_LABEL = re.compile(r"\s*([^\s:,]+)(?::([^\s:,]*))?\s*")


def is_alert(record: Mapping[str, Any]) -> bool:
    """Return whether a record is a Falco alert."""
    return "output_fields" in record


def from_alert(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a Falco alert. Alerts of some sources have no process or no container."""
    alert = Fields(record)
    output = alert.needed("output_fields")
    fields = Fields({key: value for key, value in output.values.items() if value != _UNKNOWN}, output.path)
    return without_absent(
        id=alert.text("uuid"),
        time=alert.instant("time"),
        machine=without_absent(hostname=alert.text("hostname")),
        namespace=without_absent(name=fields.text("k8s.ns.name")),
        pod=without_absent(
            name=fields.text("k8s.pod.name"),
            kuid=fields.text("k8s.pod.uid", "k8s.pod.id"),
            labels={**_listed_labels(fields), **_single_labels(fields)},
        ),
        container=_container(fields),
        process=without_absent(
            name=fields.text("proc.name"),
            exe=fields.text("proc.exepath"),
            euser=fields.text("user.name"),
            pid=fields.integer("proc.pid"),
            ppid=fields.integer("proc.ppid"),
            start_time=_seconds(fields.integer("proc.pid.ts")),
        ),
    )


def _seconds(nanoseconds: int | None) -> float | None:
    return nanoseconds / 1e9 if nanoseconds else None


def _container(fields: Fields) -> dict[str, Any]:
    identity = fields.text("container.id")
    name = fields.text("container.name")
    if identity == _HOST or (identity is None and name == _HOST):
        return {}
    return without_absent(image=_image(fields), containerName=name, containerID=identity)


def _image(fields: Fields) -> str | None:
    repository = fields.text("container.image.repository")
    tag = fields.text("container.image.tag")
    if repository and tag:
        return f"{repository}:{tag}"
    whole = fields.text("container.image")
    return repository if repository or whole is None else whole


def _listed_labels(fields: Fields) -> dict[str, str]:
    """Return the labels in ``k8s.pod.labels``. A text that is not completely in Falco's form is ignored."""
    value = fields.values.get(_LABELS)
    if not isinstance(value, str):
        return fields.labels(_LABELS)
    matches = [_LISTED_LABEL.fullmatch(part) for part in value.split(",")]
    labels = {match[1]: match[2] or "" for match in matches if match is not None}
    return labels if all(matches) else {}


def _single_labels(fields: Fields) -> dict[str, str]:
    """Return the labels in fields of their own.

    For a label that the pod does not have, Falco writes an empty text. So empty labels are left out: otherwise
    ``Exists`` would match them.
    """
    labels = {}
    for key in fields.values:
        match = _LABEL.fullmatch(key) if isinstance(key, str) else None
        value = fields.text(key) if match else None
        if match and value:
            labels[match[1] or match[2]] = value
    return labels
