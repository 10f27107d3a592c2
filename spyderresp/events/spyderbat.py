"""The vendor's deviations: a bare ``GuardianDeviation``, and the ``event_deviation`` record that wraps one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spyderresp.errors import EventError
from spyderresp.events.field_readers import Fields, without_absent

# The process that a deviation adds to its policy's tree of processes.
#
# A ``processPolicy`` lists either new roots or ``policyNode`` entries, which name a node of the policy by ``id`` and
# hang new ``children`` on it (spyctl ``schemas_v2.py``: ``GuardDeviationNodeModel``). The node that deviates is the
# leaf: those above it lead to it.

#: Far deeper than the ancestry of any real process. Walked without recursion, so that a hostile record is an error.
MAX_DEPTH = 256


def deviating_process(entries: list[Fields]) -> dict[str, Any]:
    """Return name, exe and euser of the first leaf, in the order of the document; empty where there is none.

    One deviation has one process, and so one leaf; of several the first is taken.
    """
    leaf = _first_leaf(entries)
    if leaf is None:
        return {}
    return without_absent(name=leaf.text("name"), exe=leaf.only_text("exe"), euser=leaf.only_text("euser"))


def _first_leaf(entries: list[Fields]) -> Fields | None:
    """Walk in the order of the document, down to the first node with a name or an exe that has none below it."""
    leaf: Fields | None = None
    leaf_depth = 0
    waiting = [(entry, 1) for entry in reversed(entries)]
    while waiting:
        node, depth = waiting.pop()
        if leaf is not None and depth <= leaf_depth:
            break  # All below the leaf has been seen.
        if depth > MAX_DEPTH:
            raise EventError(node.path, f"is nested more than {MAX_DEPTH} processes deep")
        if node.values.get("policyNode") is not None:
            # Known to the policy by its id: it holds no process of its own.
            node = node.within("policyNode")
        elif node.values.get("name") is not None or node.values.get("exe") is not None:
            leaf, leaf_depth = node, depth
        waiting.extend((child, depth + 1) for child in reversed(node.mappings("children")))
    return leaf


# From a cgroup to the ``service`` scope.

_PREFIX = "systemd:"
_SUFFIX = ".service"


def service(cgroup: str | None, *, contained: bool = False, name: str | None = None) -> dict[str, Any]:
    """Return the service of a process from its cgroup, or an empty mapping.

    The cgroup keeps or gains the ``systemd:`` prefix (docs/POLICY.md, section 2): the vendor's policies have it, and
    its records come with and without. The name, unless given, is the last part of the path that ends in ``.service``,
    so ``/system.slice/docker.service/abc`` belongs to ``docker.service``.

    Args:
        cgroup: the path, or None.
        contained: the process runs in a container.
        name: the service's name, where the record gives it.
    """
    if not cgroup:
        return without_absent(name=name)
    path = cgroup.removeprefix(_PREFIX)
    if name is None:
        name = next((part for part in reversed(path.split("/")) if part.endswith(_SUFFIX)), None)
    if contained and name is None:
        # This is the container's own scope, not a Linux service. As one, a serviceSelector with NotIn would take in
        # every process of every container.
        return {}
    return without_absent(name=name, cgroup=_PREFIX + path)


# What the vendor's records have in common: a ``schema`` that begins with their kind, and the names of their scopes.
#
# Sources: the table in docs/POLICY.md, section 2; the field names are those of the vendor's published records
# (spydertop) and of its CLI's own test data (spyctl, ``tests/mock_functions.py``). ``clustername`` stands beside
# ``cluster_name`` in real records. The vendor's ``container_uid`` (``cont:...``) has no place in the normal form: the
# container runtime does not know it.

DEVIATION = "event_deviation"
PROCESS = "model_process"
CONTAINER = "model_container"
REDFLAG = "event_redflag"
OPSFLAG = "event_opsflag"


def is_of(kind: str, record: Mapping[str, Any]) -> bool:
    """Tell whether a record is one of the vendor's, of this kind (``model_process::1.2.0`` is a `model_process`)."""
    schema = record.get("schema")
    return isinstance(schema, str) and schema.partition(":")[0] == kind


def checked_fields(record: Mapping[str, Any], *kinds: str) -> Fields:
    """Return the record's fields, having checked that a ``schema``, if there is one, is of one of the kinds.

    A form may be chosen by name. Read as a process, a session would yield a process that does not exist.
    """
    fields = Fields(record)
    schema = fields.text("schema")
    if schema is not None and schema.partition(":")[0] not in kinds:
        wanted = " or ".join(f"`{kind}`" for kind in kinds)
        raise EventError("schema", f"must be of kind {wanted} for this form")
    return fields


def surroundings(fields: Fields) -> dict[str, dict[str, Any]]:
    """Return where a vendor record happened, outermost first: its cluster, machine, namespace and pod."""
    return {
        "cluster": without_absent(name=fields.text("cluster_name", "clustername"), uid=fields.text("cluster_uid")),
        "machine": without_absent(hostname=fields.text("hostname"), uid=fields.text("muid")),
        "namespace": without_absent(name=fields.text("pod_namespace"), labels=fields.labels("pod_namespace_labels")),
        "pod": without_absent(
            name=fields.text("pod_name"),
            uid=fields.text("pod_uid"),
            kuid=fields.text("pod_kuid"),
            labels=fields.labels("pod_labels"),
        ),
    }


def process_uid(fields: Fields) -> str | None:
    """Return the process that ``ref`` names, if it names one: it may also be a connection, a machine, a container."""
    ref = fields.text("ref")
    return ref if ref is not None and ref.startswith("proc:") else None


_KIND = "GuardianDeviation"


def is_guardian(record: Mapping[str, Any]) -> bool:
    """Tell whether a record is a bare ``GuardianDeviation``."""
    return record.get("kind") == _KIND


def from_guardian(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a bare ``GuardianDeviation``: its scopes, and the process its processPolicy adds."""
    deviation = Fields(record)
    metadata = deviation.needed("metadata")
    scopes = _scopes(metadata.within("scopes"))
    return without_absent(
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
    fields = checked_fields(record, DEVIATION)
    deviation = fields.needed("deviation")
    metadata = deviation.within("metadata")
    scopes = _scopes(metadata.within("scopes"))
    around = surroundings(fields)
    container = without_absent(containerID=fields.text("container", "container_id"))
    contained = bool(container or scopes["container"] or fields.text("container_uid"))
    own = {
        **around,
        "namespace": {**around["namespace"], **without_absent(name=fields.text("namespace"))},
        "container": container,
        "service": service(fields.text("cgroup"), contained=contained),
        "process": {**_process(deviation), **without_absent(uid=process_uid(fields))},
    }
    return without_absent(
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
        "namespace": _texts(namespace, "name") | without_absent(labels=namespace.labels("labels")),
        "pod": _texts(pod, "name", "uid", "kuid") | without_absent(labels=pod.labels("labels")),
        "container": _texts(container, "image", "imageID", "containerName", "containerID"),
        "service": service(unit.text("cgroup"), contained=bool(container.values), name=unit.text("name")),
        "process": without_absent(
            name=process.text("name"),
            exe=process.only_text("exe"),
            euser=process.only_text("euser"),
            pid=process.integer("pid"),
            ppid=process.integer("ppid"),
            uid=process.text("uid"),
        ),
    }


def _texts(fields: Fields, *keys: str) -> dict[str, Any]:
    return without_absent(**{key: fields.text(key) for key in keys})


# The vendor's ``event_redflag`` and ``event_opsflag`` records.


def from_flag(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a flag. Severity, tactics and the like are the flag's, not the event's, and are dropped."""
    fields = checked_fields(record, REDFLAG, OPSFLAG)
    container = fields.text("container", "container_id")
    return without_absent(
        id=fields.text("id"),
        time=fields.instant("time"),
        **surroundings(fields),
        container=without_absent(containerID=container),
        service=service(fields.text("cgroup"), contained=bool(container)),
        process=_flagged_process(fields),
    )


def _flagged_process(fields: Fields) -> dict[str, Any]:
    """Return the flag's process; a flag about a connection or a machine has none, whatever else it holds."""
    process = without_absent(
        name=fields.text("name"),
        exe=fields.text("exe"),
        euser=fields.text("euser"),
        pid=fields.integer("pid"),
        ppid=fields.integer("ppid"),
        uid=process_uid(fields),
    )
    return process if "name" in process or "uid" in process else {}


# The vendor's ``model_process`` and ``model_container`` records.


def from_process(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a ``model_process`` record.

    The record's ``id`` (``proc:...``) is the vendor's uid of the process, and names the event too.
    """
    fields = checked_fields(record, PROCESS)
    container = fields.text("container", "container_id")
    return without_absent(
        id=fields.text("id"),
        time=fields.instant("time"),
        **surroundings(fields),
        container=without_absent(containerID=container),
        service=service(fields.text("cgroup"), contained=bool(container)),
        process=without_absent(
            name=fields.text("name"),
            exe=fields.text("exe"),
            euser=fields.text("euser"),
            pid=fields.integer("pid"),
            ppid=fields.integer("ppid"),
            uid=fields.text("id"),
            start_time=fields.instant("create_time"),
        ),
    )


def from_container(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a ``model_container`` record. It has no process."""
    fields = checked_fields(record, CONTAINER)
    return without_absent(
        id=fields.text("id"),
        time=fields.instant("time"),
        **surroundings(fields),
        container=without_absent(
            image=fields.text("image"),
            imageID=fields.text("image_id"),
            containerName=fields.text("container_name"),
            containerID=fields.text("container_id"),
        ),
    )
