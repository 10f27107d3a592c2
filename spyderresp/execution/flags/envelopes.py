"""Envelopes for flag records: CloudEvents 1.0 and OCSF Detection Finding."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from spyderresp.errors import __version__
from spyderresp.events.field_readers import without_absent
from spyderresp.events.timestamps import milliseconds, rfc3339

# CloudEvents: structured mode, JSON. Source: CloudEvents 1.0.2, the specification and its JSON event format.

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/cloudevents+json"
BATCH_CONTENT_TYPE: Final = "application/cloudevents-batch+json"
_SOURCE: Final = "urn:spyderresp"
_TYPES: Final = {"event_redflag": "io.github.spyderresp.flag.red", "event_opsflag": "io.github.spyderresp.flag.ops"}
# Characters that an attribute must not contain (section 3.1): control characters, surrogates, noncharacters.
_FORBIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(p * 0x10000 + n) for p in range(17) for n in (0xFFFE, 0xFFFF))
    + "]"
)


def cloudevent(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a CloudEvent with the record as ``data`` and the record's ``id``."""
    event: dict[str, Any] = {
        "specversion": SPEC_VERSION,
        "id": _attribute(record["id"]),
        "source": _SOURCE,
        "type": _TYPES.get(str(record["schema"]).partition(":")[0], "io.github.spyderresp.flag"),
        "datacontenttype": "application/json",
    }
    if (moment := rfc3339(record.get("time"))) is not None:
        event["time"] = moment
    subject = _attribute(record.get("ref") or record.get("policy_name") or record.get("rule") or "")
    if subject:
        event["subject"] = subject
    event["data"] = dict(record)
    return event


def _attribute(text: Any) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(text))


# OCSF. Source: the Open Cybersecurity Schema Framework, version 1.5.0, class 2004 (Detection Finding).
# tests/execution/test_envelopes.py validates the findings with the published schema.

OCSF_VERSION: Final = "1.5.0"
CLASS_UID: Final = 2004
_CREATE: Final = 1
_NEW: Final = 1
_OTHER: Final = 99
_RULE: Final = 1
_REGULAR_FILE: Final = 1
_UNKNOWN: Final = 0
_SEVERITIES: Final = {"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_CAPTIONS: Final = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}
_TITLE: Final = 256
_UUID: Final = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def detection_finding(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Detection Finding; ``finding_info.uid`` and ``metadata.uid`` are the record's ``id``."""
    severity = _SEVERITIES.get(record["severity"], _OTHER)
    moment = milliseconds(record.get("time"))
    ops = str(record["schema"]).startswith("event_opsflag")
    finding: dict[str, Any] = {
        "activity_id": _CREATE,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS_UID,
        "class_name": "Detection Finding",
        "type_uid": CLASS_UID * 100 + _CREATE,
        "type_name": "Detection Finding: Create",
        "time": moment,
        "severity_id": severity,
        "severity": _CAPTIONS.get(severity, record["severity"]),
        "status_id": _NEW,
        "status": "New",
        "is_alert": True,
        "message": record["description"],
        "metadata": {
            "version": OCSF_VERSION,
            "uid": record["id"],
            "product": {"name": "spyderresp", "vendor_name": "spyderresp", "version": __version__},
        },
        "finding_info": without_absent(
            uid=record["id"],
            title=record["description"].partition("\n")[0][:_TITLE] or "flag",
            desc=record.get("content") or record["description"],
            created_time=moment,
            types=["ops flag" if ops else "red flag"],
            analytic=_analytic(record),
        ),
        # The whole record: which fields OCSF has attributes for depends on the event.
        "unmapped": {"flag": dict(record)},
    }
    if "impact" in record:
        finding |= {"impact_id": _OTHER, "impact": record["impact"]}
    if device := without_absent(hostname=record.get("hostname"), uid=record.get("muid")):
        finding["device"] = {"type_id": _UNKNOWN, "type": "Unknown", **device}
    if resources := _resources(record):
        finding["resources"] = resources
    evidence = without_absent(process=_process(record), container=_container(record))
    if "process" in evidence:
        finding["evidences"] = [evidence]
    elif evidence:
        # OCSF does not allow evidence of only a container, so the container is a resource.
        finding.setdefault("resources", []).append(
            without_absent(type="container", name=record.get("container_name"), uid=record.get("container"))
        )
    return finding


def _analytic(record: Mapping[str, Any]) -> dict[str, Any]:
    name = record.get("policy_name") or record.get("rule")
    return without_absent(type_id=_RULE, type="Rule", name=name, uid=record.get("policy_uid")) if name else {}


def _resources(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    labels = record.get("pod_labels") or {}
    pod = without_absent(
        name=record.get("pod_name"),
        uid=record.get("pod_kuid") or record.get("pod_uid"),
        namespace=record.get("pod_namespace"),
        labels=[f"{name}={value}" for name, value in labels.items()] or None,
    )
    cluster = without_absent(name=record.get("cluster_name"), uid=record.get("cluster_uid"))
    return [
        {"type": kind, **resource}
        for kind, resource in (("pod", pod), ("cluster", cluster))
        if "name" in resource or "uid" in resource
    ]


def _process(record: Mapping[str, Any]) -> dict[str, Any]:
    ref = record.get("ref", "")
    identity = without_absent(pid=record.get("pid"), uid=ref if ref.startswith("proc:") else None)
    if not identity:
        return {}
    exe = record.get("exe")
    base = posixpath.basename(exe) if exe else ""
    return without_absent(
        **identity,
        name=record.get("name"),
        file=without_absent(name=base, path=exe, type_id=_REGULAR_FILE, type="Regular File") if base else None,
        user=without_absent(name=record.get("euser")),
        parent_process=without_absent(pid=record.get("ppid")),
    )


def _container(record: Mapping[str, Any]) -> dict[str, Any]:
    identity = without_absent(name=record.get("container_name"), uid=record.get("container"))
    if not identity:
        return {}
    name = record.get("image")
    # OCSF requires a uid. An image without a digest is identified by its reference.
    image = without_absent(name=name, uid=record.get("image_id", name))
    pod = record.get("pod_kuid", "")
    return without_absent(**identity, image=image, pod_uuid=pod if _UUID.fullmatch(pod) else None)


Envelope = Literal["cloudevents", "ocsf"]

ENVELOPES: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "cloudevents": cloudevent,
    "ocsf": detection_finding,
}


def enveloped(envelope: str | None) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """Return the function that wraps a flag record in an envelope; for None, one that returns the record itself.

    Args:
        envelope: ``cloudevents``, ``ocsf`` or None.

    Raises:
        ValueError: there is no such envelope.
    """
    if envelope is None:
        return lambda record: record
    if envelope not in ENVELOPES:
        names = " or ".join(f"`{name}`" for name in ENVELOPES)
        raise ValueError(f"no envelope `{envelope}`; use {names}, or none")
    return ENVELOPES[envelope]
