"""The record of a flag, in the format of the vendor's ``event_redflag`` and ``event_opsflag`` records.

Fields of the vendor have the vendor's names and types; this package adds fields. docs/FLAGS.md and ``flag.schema.json``
next to this module describe all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from spyderresp.events.spyderbat import OPSFLAG, REDFLAG
from spyderresp.execution.flags.disclosure import redacted
from spyderresp.execution.flags.redaction import Redaction, clean, scalar
from spyderresp.execution.steps import Step

_SCHEMAS: Final = {"makeRedFlag": REDFLAG, "makeOpsFlag": OPSFLAG}
_SCHEMA_VERSION: Final = "1.0.0"
# The fields that come from the event, in the order of the record: scope of the event, name in the record, name there.
_EVENT_FIELDS: Final = {
    "machine": {"muid": "uid", "hostname": "hostname", "source_name": "sourceName"},
    "cluster": {"cluster_name": "name", "cluster_uid": "uid"},
    "namespace": {"pod_namespace": "name", "pod_namespace_labels": "labels"},
    "pod": {"pod_name": "name", "pod_uid": "uid", "pod_kuid": "kuid", "pod_labels": "labels"},
    "container": {
        "container": "containerID",
        "container_name": "containerName",
        "image": "image",
        "image_id": "imageID",
    },
    "service": {"cgroup": "cgroup", "service_name": "name"},
    "process": {
        **{name: name for name in ("name", "exe", "euser", "pid", "ppid", "start_ticks", "boot_id")},
        "create_time": "start_time",
    },
}
# The types of fields that are not strings.
_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    **dict.fromkeys(("pid", "ppid", "start_ticks"), int),
    **dict.fromkeys(("pod_labels", "pod_namespace_labels"), Mapping),
    "create_time": (str, int, float),
}
_canonical: Final = json.JSONEncoder(
    ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=True, default=repr
).encode


def flag_record(step: Step) -> dict[str, Any]:
    """Return the record of a flag as JSON data. Its strings are valid Unicode and of bounded length.

    The ``id`` depends on the step's key only, so that receivers can drop repeats.

    Args:
        step: a flag. A step without sources is an alarm of a guard; its ``record`` holds the details.
    """
    guard = not step.sources
    event = {} if guard or step.record is None else step.record
    parameters = {name: clean(str(value)) for name, value in step.items}
    severity = parameters.pop("severity")
    subtype = "spyderresp_guard" if guard else "policy_response"
    record: dict[str, Any] = {
        "schema": f"{_SCHEMAS[step.action]}:{subtype}:{_SCHEMA_VERSION}",
        "id": f"event_alert:spyderresp:{step.key}",
        "version": 1,
        "time": step.arrived if step.event_time is None else step.event_time,
        "short_name": subtype,
        "severity": severity,
        "description": _description(step, parameters),
        **{name: parameters[name] for name in ("impact", "content") if name in parameters},
        "class": ["flag", _subject(step, event), subtype, f"{severity}_severity"],
        "false_positive": False,
    }
    if (ref := _ref(step, event)) is not None:
        record["ref"] = ref
    record.update(_event_fields(step, event))
    if guard:
        record["rule"] = clean(step.because or "guard")
        if step.record:
            record["details"] = redacted(step.record, Redaction())
        return record
    event_id = event.get("id")
    event_id = _event_id(step.event) if event_id is None else event_id
    if event_id is not None:
        record["event_id"] = event_id
    first = step.sources[0]
    record["policy_name"] = clean(first.policy)
    if first.uid is not None:
        record["policy_uid"] = clean(first.uid)
    record["sources"] = [
        {"section": source.section, "index": source.index, "location": clean(str(source.location))}
        for source in step.sources
    ]
    record["policy_set"] = step.policy_set
    record["plan_id"] = step.plan
    if event.get("disclosed"):
        record["disclosed"] = event["disclosed"]
    return record


def flag_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of flag records."""
    text = Path(__file__).with_name("flag.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _description(step: Step, parameters: Mapping[str, str]) -> str:
    for name in ("description", "content"):
        if parameters.get(name):
            return parameters[name]
    return f"policy {step.sources[0].policy} raised this flag" if step.sources else f"guard: {step.because}"


def _event_value(step: Step, event: Mapping[str, Any], scope: str, name: str) -> Any:
    """Return a value of the allow-listed fields; if it is absent there, the value of the target."""
    node = event.get(scope)
    if isinstance(node, Mapping) and node.get(name) is not None:
        return node[name]
    if step.target is None or name == "labels":
        return None
    try:
        return scalar(step.target[f"{scope}.{name}"])
    except KeyError:
        return None


def _event_fields(step: Step, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of ``_EVENT_FIELDS`` that have a value of the right type."""
    return {
        name: value
        for scope, names in _EVENT_FIELDS.items()
        for name, field in names.items()
        if isinstance(value := _event_value(step, event, scope, field), _TYPES.get(name, str))
        and not isinstance(value, bool)
    }


def _ref(step: Step, event: Mapping[str, Any]) -> str | None:
    """Return the vendor's uid of the flag's subject: the process, else the pod, else the machine."""
    for scope in ("process", "pod", "machine"):
        value = _event_value(step, event, scope, "uid")
        if isinstance(value, str) and value:
            return value
    return None


def _subject(step: Step, event: Mapping[str, Any]) -> str:
    """Return the vendor's word for the flag's subject, such as ``proc``."""
    if not step.sources:
        return "guard"
    for scope, word in (("process", "proc"), ("container", "container"), ("pod", "pod"), ("machine", "mach")):
        if event.get(scope) or (step.target is not None and step.target.to_dict().get(scope)):
            return word
    return "cluster"


def _event_id(event: Any) -> str | int | float | bool | None:
    """Return an event's id: a string, boolean or number as it is, anything else as JSON text."""
    if event is None:
        return None
    plain = scalar(event)
    return clean(_canonical(event)) if plain is None else plain
