"""The vendor's deviations: a bare ``GuardianDeviation``, and the ``event_deviation`` record that wraps one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spyderresp.adapters.fields import Fields, filled
from spyderresp.adapters.process_tree import deviating_process
from spyderresp.adapters.services import service
from spyderresp.adapters.vendor import DEVIATION, opened, process_uid, surroundings

_KIND = "GuardianDeviation"


def is_guardian(record: Mapping[str, Any]) -> bool:
    """Tell whether a record is a bare ``GuardianDeviation``."""
    return record.get("kind") == _KIND


def from_guardian(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a bare ``GuardianDeviation``: its scopes, and the process its processPolicy adds."""
    deviation = Fields(record)
    metadata = deviation.needed("metadata")
    scopes = _scopes(metadata.within("scopes"))
    return filled(
        id=metadata.text("uid"),
        time=deviation.instant("time"),
        policy_uid=metadata.text("policy_uid"),
        policy_name=metadata.text("policy_name"),
        **{**scopes, "process": {**scopes["process"], **_process(deviation)}},
    )


def from_event(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of an ``event_deviation`` record.

    What the record says of itself stands above what the deviation inside it says, which fills the gaps.
    """
    fields = opened(record, DEVIATION)
    deviation = fields.needed("deviation")
    metadata = deviation.within("metadata")
    scopes = _scopes(metadata.within("scopes"))
    around = surroundings(fields)
    container = filled(containerID=fields.text("container", "container_id"))
    contained = bool(container or scopes["container"] or fields.text("container_uid"))
    own = {
        **around,
        "namespace": {**around["namespace"], **filled(name=fields.text("namespace"))},
        "container": container,
        "service": service(fields.text("cgroup"), contained=contained),
        "process": {**_process(deviation), **filled(uid=process_uid(fields))},
    }
    return filled(
        id=_first(fields.text("id"), metadata.text("uid")),
        time=fields.instant("time"),
        policy_uid=_first(fields.text("policy_uid"), metadata.text("policy_uid")),
        policy_name=_first(fields.text("policy_name"), metadata.text("policy_name")),
        **{scope: {**scopes[scope], **own[scope]} for scope in scopes},
    )


def _process(deviation: Fields) -> dict[str, Any]:
    return deviating_process(deviation.within("spec").mappings("processPolicy"))


def _first(*values: str | None) -> str | None:
    return next((value for value in values if value is not None), None)


def _scopes(scopes: Fields) -> dict[str, dict[str, Any]]:
    """Return every scope of the normal form, in its order, from ``metadata.scopes``; selectors not known are ignored.

    Keyed by selector, each holds the fields of the normal form (the sample ``guardian_deviation_cluster``).
    """
    cluster = scopes.within("clusterSelector")
    machine = scopes.within("machineSelector")
    namespace = scopes.within("namespaceSelector")
    pod = scopes.within("podSelector")
    container = scopes.within("containerSelector")
    unit = scopes.within("serviceSelector")
    process = scopes.within("processSelector")
    return {
        "cluster": _texts(cluster, "name", "uid"),
        "machine": _texts(machine, "hostname", "uid", "sourceName"),
        "namespace": _texts(namespace, "name") | filled(labels=namespace.labels("labels")),
        "pod": _texts(pod, "name", "uid", "kuid") | filled(labels=pod.labels("labels")),
        "container": _texts(container, "image", "imageID", "containerName", "containerID"),
        "service": service(unit.text("cgroup"), contained=bool(container.values), name=unit.text("name")),
        "process": filled(
            name=process.text("name"),
            exe=process.only_text("exe"),
            euser=process.only_text("euser"),
            pid=process.integer("pid"),
            ppid=process.integer("ppid"),
            uid=process.text("uid"),
        ),
    }


def _texts(fields: Fields, *keys: str) -> dict[str, Any]:
    return filled(**{key: fields.text(key) for key in keys})
