"""The adapters against the samples and the vendor's published records."""

import gzip
import json
from collections import Counter

import pytest

from spyderresp.errors import EventError
from spyderresp.events.formats import BUILT_IN, adapt

#: Records of each kind that hold no deviation.
DECLINED = {
    "event_top_data": 1272,
    "model_connection": 856,
    "model_listening_socket": 163,
    "model_machine": 6,
    "model_operation": 119,
    "model_session": 72,
    "model_spydertrace": 378,
}
#: The field of the event, and the field of the record it comes from.
PROCESS_FIELDS = {
    "name": "name",
    "exe": "exe",
    "euser": "euser",
    "pid": "pid",
    "ppid": "ppid",
    "uid": "id",
    "start_time": "create_time",
}


@pytest.fixture(scope="module")
def records(corpus):
    paths = sorted((corpus / "corpus" / "vendor_events").glob("*.gz"))
    by_kind = {}
    for path in paths:
        for line in gzip.decompress(path.read_bytes()).splitlines():
            record = json.loads(line)
            by_kind.setdefault(record["schema"].partition(":")[0], []).append(record)
    return by_kind


def test_every_sample_is_recognised_and_gives_its_event(corpus):
    paths = sorted((corpus / "corpus" / "event_samples").glob("*.json"))
    assert len(paths) == 6
    for path in paths:
        sample = json.loads(path.read_text(encoding="utf-8"))
        record = sample["record"]
        assert BUILT_IN.recognise(record).name == sample["form"], path.name
        assert adapt(record) == adapt(record, sample["form"]) == sample["event"], path.name
        assert adapt(sample["event"]) == sample["event"], path.name
        assert record == json.loads(path.read_text(encoding="utf-8"))["record"], path.name


def test_every_process_converts(records):
    counts = Counter()
    assert len(records["model_process"]) == 11_523
    for record in records["model_process"]:
        event = adapt(record)
        assert event["process"] == {ours: record[theirs] for ours, theirs in PROCESS_FIELDS.items()}
        assert event["machine"] == {"uid": record["muid"]}
        assert (event["id"], event["time"]) == (record["id"], record["time"])
        service = event.get("service", {})
        if record["container"]:
            assert event["container"] == {"containerID": record["container"]}
            assert service == {}
        else:
            assert "container" not in event
            assert service["cgroup"] == record["cgroup"]
        assert event.keys() <= {"id", "time", "machine", "container", "service", "process"}
        counts.update([f"has {scope}" for scope in event])
        counts["has a service's name"] += "name" in service
        counts["empty exe"] += event["process"]["exe"] == ""
    assert counts["has container"] == 3084
    assert counts["has service"] == 8439
    assert counts["has a service's name"] == 7432
    assert counts["empty exe"] == 4


def test_every_red_flag_converts(records):
    counts = Counter()
    for record in records["event_redflag"]:
        event = adapt(record)
        counts["all"] += 1
        counts["with a process"] += "process" in event
        if "process" in event:
            assert event["process"] == {key: record[key] for key in ("name", "euser")} | {"uid": record["ref"]}
        else:
            assert record["ref"].startswith("conn:")
        assert event["machine"] == {"uid": record["muid"]}
    assert counts == {"all": 601, "with a process": 599}


def test_every_other_record_is_declined_by_name(records):
    declined = Counter()
    for kind in records.keys() - {"model_process", "event_redflag"}:
        for record in records[kind]:
            with pytest.raises(EventError) as caught:
                adapt(record)
            assert caught.value.path == "schema"
            assert caught.value.reason == f"records of kind `{kind}` hold no deviation"
            declined[kind] += 1
    assert declined == DECLINED
    assert sum(declined.values()) + 11_523 + 601 == 14_990
