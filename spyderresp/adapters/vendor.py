"""What the vendor's records have in common: a ``schema`` that begins with their kind, and the names of their scopes.

Sources: the table in docs/POLICY.md, section 2; the field names are those of the vendor's published records
(spydertop) and of its CLI's own test data (spyctl, ``tests/mock_functions.py``). ``clustername`` stands beside
``cluster_name`` in real records. The vendor's ``container_uid`` (``cont:...``) has no place in the normal form: the
container runtime does not know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spyderresp.adapters.fields import Fields, filled
from spyderresp.errors import EventError

DEVIATION = "event_deviation"
PROCESS = "model_process"
CONTAINER = "model_container"
REDFLAG = "event_redflag"
OPSFLAG = "event_opsflag"


def is_of(kind: str, record: Mapping[str, Any]) -> bool:
    """Tell whether a record is one of the vendor's, of this kind (``model_process::1.2.0`` is a `model_process`)."""
    schema = record.get("schema")
    return isinstance(schema, str) and schema.partition(":")[0] == kind


def opened(record: Mapping[str, Any], *kinds: str) -> Fields:
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
        "cluster": filled(name=fields.text("cluster_name", "clustername"), uid=fields.text("cluster_uid")),
        "machine": filled(hostname=fields.text("hostname"), uid=fields.text("muid")),
        "namespace": filled(name=fields.text("pod_namespace"), labels=fields.labels("pod_namespace_labels")),
        "pod": filled(
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
