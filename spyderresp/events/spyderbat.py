"""Converts records of the vendor: deviations, flags, processes and containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spyderresp.errors import EventError
from spyderresp.events.field_readers import Fields, without_absent

# The process that a deviation adds to the process tree of its policy.
#
# A ``processPolicy`` lists new roots, or ``policyNode`` entries, which name a node of the policy by ``id`` and add new
# ``children`` to it (spyctl ``schemas_v2.py``: ``GuardDeviationNodeModel``). The deviating process is the leaf; the
# nodes above it are its ancestors.

#: The deepest tree; real processes have far fewer ancestors. The tree is read without recursion.
MAX_DEPTH = 256


def deviating_process(entries: list[Fields]) -> dict[str, Any]:
    """Return name, exe and euser of the first leaf, in the order of the document; an empty mapping if there is none.

    A deviation has one process and therefore one leaf. If there are several leaves, the first one counts.
    """
    leaf = _first_leaf(entries)
    if leaf is None:
        return {}
    return without_absent(name=leaf.text("name"), exe=leaf.only_text("exe"), euser=leaf.only_text("euser"))


def _first_leaf(entries: list[Fields]) -> Fields | None:
    """Return the first node, in the order of the document, with a name or an exe and no such node below it."""
    leaf: Fields | None = None
    leaf_depth = 0
    waiting = [(entry, 1) for entry in reversed(entries)]
    while waiting:
        node, depth = waiting.pop()
        if leaf is not None and depth <= leaf_depth:
            break  # All nodes below the leaf were visited.
        if depth > MAX_DEPTH:
            raise EventError(node.path, f"is nested more than {MAX_DEPTH} processes deep")
        if node.values.get("policyNode") is not None:
            # A node of the policy: the process of this node does not deviate.
            node = node.within("policyNode")
        elif node.values.get("name") is not None or node.values.get("exe") is not None:
            leaf, leaf_depth = node, depth
        waiting.extend((child, depth + 1) for child in reversed(node.mappings("children")))
    return leaf


# The ``service`` scope.

_PREFIX = "systemd:"
_SUFFIX = ".service"


def service(cgroup: str | None, *, contained: bool = False, name: str | None = None) -> dict[str, Any]:
    """Return the service of a process; an empty mapping if there is none.

    The cgroup of the result has the prefix ``systemd:`` (docs/POLICY.md, section 2), as in the vendor's policies; its
    records may have the prefix or not. The default name is the last part of the cgroup that ends in ``.service``:
    ``docker.service`` for ``/system.slice/docker.service/abc``.

    Args:
        cgroup: the cgroup of the process; None: it is unknown.
        contained: whether the process runs in a container.
        name: the name of the service, if the record gives it.
    """
    if not cgroup:
        return without_absent(name=name)
    path = cgroup.removeprefix(_PREFIX)
    if name is None:
        name = next((part for part in reversed(path.split("/")) if part.endswith(_SUFFIX)), None)
    if contained and name is None:
        # The cgroup of a container is not a Linux service. Otherwise a serviceSelector with NotIn would match every
        # process of every container.
        return {}
    return without_absent(name=name, cgroup=_PREFIX + path)


# Common to the vendor's records: a ``schema`` that begins with the kind of record, and the keys of scopes.
#
# Sources: the table in docs/POLICY.md, section 2. The keys are those of the vendor's published records (spydertop) and
# of the test data of its CLI (spyctl, ``tests/mock_functions.py``). Real records have ``clustername`` as well as
# ``cluster_name``. The vendor's ``container_uid`` (``cont:...``) is left out, because the container runtime does not
# have it.

DEVIATION = "event_deviation"
PROCESS = "model_process"
CONTAINER = "model_container"
REDFLAG = "event_redflag"
OPSFLAG = "event_opsflag"


def is_of(kind: str, record: Mapping[str, Any]) -> bool:
    """Return whether a record is of a kind of the vendor: ``model_process::1.2.0`` is a ``model_process``."""
    schema = record.get("schema")
    return isinstance(schema, str) and schema.partition(":")[0] == kind


def checked_fields(record: Mapping[str, Any], *kinds: str) -> Fields:
    """Return the fields of a record after checking that its ``schema``, if present, has one of the kinds.

    Users can choose a form by name. For example, a session that is read as a process would give a wrong process.
    """
    fields = Fields(record)
    schema = fields.text("schema")
    if schema is not None and schema.partition(":")[0] not in kinds:
        valid = " or ".join(f"`{kind}`" for kind in kinds)
        raise EventError("schema", f"must be of kind {valid} for this form")
    return fields


def surroundings(fields: Fields) -> dict[str, dict[str, Any]]:
    """Return the scopes around the process or container of a record: cluster, machine, namespace and pod."""
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
    """Return ``ref`` if it names a process; it may also name a connection, a machine or a container."""
    ref = fields.text("ref")
    return ref if ref is not None and ref.startswith("proc:") else None


_KIND = "GuardianDeviation"


def is_guardian(record: Mapping[str, Any]) -> bool:
    """Return whether a record is a ``GuardianDeviation`` that is not in an ``event_deviation``."""
    return record.get("kind") == _KIND


def from_guardian(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a ``GuardianDeviation``: its scopes, and the process that its ``processPolicy`` adds."""
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

    Values of the record take precedence over values of the deviation in it.
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
    """Return every scope of the normal form, in its order, from ``metadata.scopes``. Unknown selectors are ignored.

    Its keys are selectors, and each value has the fields of the normal form (sample: ``guardian_deviation_cluster``).
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
    """Return the event of a flag, without properties of the flag itself, such as its severity and tactics."""
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
    """Return the process of a flag; an empty mapping for a flag about a connection or a machine."""
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

    The ``id`` of the record (``proc:...``) is the vendor's uid of the process; it becomes the id of the event too.
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
