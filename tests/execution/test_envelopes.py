"""Flag records in other shapes, held against those shapes' own readers and published schemas."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import ocsf_json_schema
import pytest
from cloudevents.core.formats.json import JSONFormat
from flagged import EVENT, alarm_record, records
from hypothesis import given
from hypothesis import strategies as st

from spyderresp.execution.flags import ENVELOPES, enveloped
from spyderresp.execution.flags.envelopes import OCSF_VERSION, cloudevent, detection_finding


def published(version: str) -> jsonschema.Draft202012Validator:
    schema = ocsf_json_schema.OcsfJsonSchemaEmbedded(ocsf_json_schema.get_ocsf_schema(version))
    return jsonschema.Draft202012Validator(schema.get_class_schema("detection_finding", []))


FINDING = published(OCSF_VERSION)

texts = st.text(st.characters(exclude_categories=()), max_size=20)
events = st.fixed_dictionaries(
    {"id": texts, "cluster": st.fixed_dictionaries({"name": texts}, optional={"uid": texts})},
    optional={
        "time": st.floats(-1e13, 1e13) | texts,
        "machine": st.fixed_dictionaries({}, optional={"hostname": texts, "uid": texts}),
        "namespace": st.fixed_dictionaries({}, optional={"name": texts}),
        "pod": st.fixed_dictionaries(
            {}, optional={"name": texts, "kuid": texts, "uid": texts, "labels": st.dictionaries(texts, texts)}
        ),
        "container": st.fixed_dictionaries({}, optional={"containerID": texts, "image": texts, "containerName": texts}),
        "process": st.fixed_dictionaries(
            {},
            optional={
                "name": texts,
                "exe": texts | st.just("/") | st.just("/bin/sh"),
                "euser": texts,
                "pid": st.integers(-(2**40), 2**70),
                "ppid": st.integers(0, 2**22),
                "uid": texts | st.just("proc:1"),
            },
        ),
    },
)


def test_a_cloudevent() -> None:
    red, ops = records()
    event = cloudevent(red)
    assert event == {
        "specversion": "1.0",
        "id": red["id"],
        "source": "urn:spyderresp",
        "type": "io.github.spyderresp.flag.red",
        "datacontenttype": "application/json",
        "time": "2023-11-14T22:13:20.250000Z",
        "subject": "proc:1",
        "data": red,
    }
    assert cloudevent(ops)["type"] == "io.github.spyderresp.flag.ops"
    assert cloudevent(alarm_record())["subject"] == "breaker:overall"


@given(events)
def test_every_cloudevent_is_one(event: dict[str, Any]) -> None:
    for record in records(event):
        read = JSONFormat().read(None, json.dumps(cloudevent(record)))
        assert read.get_id() == record["id"]
        assert read.get_data() == record
        for value in (read.get_source(), read.get_type(), read.get_subject() or ""):
            assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in value)


def test_a_detection_finding() -> None:
    finding = detection_finding(records()[0])
    FINDING.validate(finding)
    red = records()[0]
    assert (finding["class_uid"], finding["type_uid"], finding["severity_id"]) == (2004, 200401, 4)
    assert finding["time"] == 1_700_000_000_250
    assert finding["finding_info"]["uid"] == finding["metadata"]["uid"] == red["id"]
    assert finding["finding_info"]["analytic"] == {"type_id": 1, "type": "Rule", "name": "watch", "uid": "pol:1"}
    assert finding["device"] == {"type_id": 0, "type": "Unknown", "hostname": "node-7", "uid": "mach:1"}
    assert finding["resources"] == [
        {"type": "pod", "name": "cart-0", "uid": EVENT["pod"]["kuid"], "namespace": "shop", "labels": ["app=cart"]},
        {"type": "cluster", "name": "c", "uid": "clus:1"},
    ]
    (evidence,) = finding["evidences"]
    assert evidence["process"]["file"]["path"] == "/bin/sh"
    assert evidence["container"] == {
        "name": "cart",
        "uid": "0b1c",
        "image": {"name": "cart:1", "uid": "sha256:1"},
        "pod_uuid": EVENT["pod"]["kuid"],
    }
    assert finding["unmapped"] == {"flag": red}


@pytest.mark.parametrize("version", ["1.5.0", "1.6.0", "1.7.0", "1.8.0"])
def test_a_finding_is_of_its_class_in_later_versions_too(version: str) -> None:
    for record in (*records(), alarm_record()):
        published(version).validate({**detection_finding(record)})


@given(events)
def test_every_finding_is_of_the_published_class(event: dict[str, Any]) -> None:
    for record in records(event):
        FINDING.validate(detection_finding(record))


def test_an_envelope_is_chosen_by_name() -> None:
    record = records()[0]
    assert enveloped(None)(record) == record
    assert {name: enveloped(name) for name in ENVELOPES} == ENVELOPES
    with pytest.raises(ValueError, match="no envelope `cef`; use `cloudevents` or `ocsf`, or none"):
        enveloped("cef")
