"""What leaves: the allow-list, and the shape of flag records."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from flagged import ENGINE, EVENT, Noting, alarm_record, records
from hypothesis import given
from hypothesis import strategies as st

import spyderresp
from spyderresp.events.spyderbat import from_flag
from spyderresp.execution.flags import Disclosure, allowed, flag_record, flag_schema
from spyderresp.execution.steps import Step, steps_of
from spyderresp.guards import Guard

SCHEMA = flag_schema()
VALID = jsonschema.Draft202012Validator(SCHEMA)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
texts = st.text(st.characters(exclude_categories=()), max_size=40)
scopes = st.fixed_dictionaries(
    {},
    optional={
        "cluster": st.fixed_dictionaries({}, optional={"name": texts, "uid": anything, "secret": anything}),
        "machine": st.fixed_dictionaries({}, optional={"hostname": anything, "uid": texts}),
        "namespace": anything
        | st.fixed_dictionaries({"name": texts, "labels": anything | st.dictionaries(texts, texts)}),
        "pod": st.fixed_dictionaries({}, optional={"name": texts, "labels": st.dictionaries(texts, texts)}),
        "container": anything,
        "service": anything,
        "process": st.fixed_dictionaries(
            {}, optional={"name": texts, "exe": texts, "pid": anything, "start_time": anything, "args": anything}
        ),
        "extra": anything,
        "id": anything,
    },
)


def sound(value: Any) -> str:
    """Return a value as JSON that a strict reader takes: finite numbers, well-formed texts."""
    text = json.dumps(value, allow_nan=False)
    json.loads(text)
    json.dumps(value, ensure_ascii=False).encode("utf-8")
    return text


def test_the_normal_form_leaves_whole() -> None:
    assert allowed(EVENT) == EVENT
    assert allowed(None) is None
    assert allowed({}) == {}


def test_nothing_else_leaves() -> None:
    event = {
        **EVENT,
        "args": ["--password", "hunter2"],
        "environ": {"K": "hunter2"},
        "process": {
            **EVENT["process"],
            "args": ["hunter2"],
            "cmdline": "hunter2",
            "environ": ["A=hunter2"],
            "cwd": "/hunter2",
        },
        "pod": {**EVENT["pod"], "annotations": {"token": "hunter2"}},
        "falco": {"output": "hunter2"},
    }
    assert allowed(event) == EVENT
    assert "hunter2" not in sound(records(event))


def test_on_request_it_leaves_redacted() -> None:
    event = {
        **EVENT,
        "process": {
            **EVENT["process"],
            "args": ["curl", "-u", "me:hunter2", "--token", "hunter2", "https://h/x"],
            "environ": {"PATH": "/bin", "DB_PASSWORD": "hunter2"},
        },
        "spec": {"env": [{"name": "API_KEY", "value": "hunter2"}, {"name": "MODE", "value": "fast"}]},
        "pod": {**EVENT["pod"], "annotations": {"a.b/c": "kept", "a.b/token": "hunter2"}},
    }
    paths = ("process.args", "process.environ", "spec", "pod.annotations.a.b/c", "nowhere.at.all", "process.pid.deeper")
    said = allowed(event, Disclosure(paths))
    assert said is not None
    assert said.pop("disclosed") == {
        "process.args": ["curl", "-u", "[redacted]", "--token", "[redacted]", "https://h/x"],
        "process.environ": {"PATH": "/bin", "DB_PASSWORD": "[redacted]"},
        "spec": {"env": [{"name": "API_KEY", "value": "[redacted]"}, {"name": "MODE", "value": "fast"}]},
        "pod.annotations.a.b/c": "kept",
    }
    assert said == EVENT
    red, _ = records(event, Disclosure(paths))
    assert red["disclosed"]["process.environ"] == {"PATH": "/bin", "DB_PASSWORD": "[redacted]"}
    assert "hunter2" not in sound(red)
    VALID.validate(red)


def test_a_host_adds_names_and_words_as_globs() -> None:
    event = {"process": {"args": ["--badge", "hunter2", "corp_pat_hunter2", "fine", "Badge=hunter2", "x=corp_pat_2"]}}
    said = allowed(event, Disclosure(("process.args",), names=("*badge",), words=("corp_pat_*",)))
    assert said == {
        "disclosed": {
            "process.args": ["--badge", "[redacted]", "[redacted]", "fine", "Badge=[redacted]", "x=[redacted]"]
        }
    }


@pytest.mark.parametrize("settings", [{"paths": "process.args"}, {"names": [1]}, {"words": "x"}])
def test_a_disclosure_holds_texts(settings: Any) -> None:
    with pytest.raises(TypeError, match="must be a sequence of strings"):
        Disclosure(**settings)


@given(scopes, st.sampled_from([None, Disclosure(("process", "extra", "namespace", "container"))]))
def test_whatever_an_event_holds_what_leaves_is_sound_and_bounded(
    event: dict[str, Any], disclosure: Disclosure | None
) -> None:
    assert len(sound(allowed(event, disclosure))) < 100_000


def test_a_huge_event_leaves_small() -> None:
    huge = "x" * 10_000_000
    deep: Any = "bottom"
    for _ in range(5_000):
        deep = {"k": [deep]}
    event = {
        "id": huge,
        "pod": {"name": huge, "labels": {f"l{n}{huge[:1000]}": huge[:5000] for n in range(1000)}},
        "process": {"exe": huge, "pid": 10**6000, "args": [huge[:100_000]] * 2000, "deep": deep},
        "wide": {str(n): {str(m): [1] * 100 for m in range(40)} for n in range(600)},
    }
    said = allowed(event, Disclosure(("process.args", "process.deep", "wide")))
    assert said is not None
    assert said["process"] == {"exe": "x" * 4095 + "…"}
    assert len(said["pod"]["labels"]) == 64
    # A fourth of 64 Ki characters is looked at in each, until there are none left.
    args = said["disclosed"]["process.args"]
    assert (len(args), args[:4], set(args[4:])) == (512, ["x" * 4095 + "…"] * 4, {"…"})
    assert len(sound(said)) < 3_000_000


def test_a_flag_in_the_vendors_shape() -> None:
    red, ops = records()
    plan = ENGINE.evaluate(EVENT)
    step = steps_of(plan, arrived=0.0, event=EVENT)[0]
    assert red == {
        "schema": "event_redflag:policy_response:1.0.0",
        "id": f"event_alert:spyderresp:{step.key}",
        "version": 1,
        "time": 1_700_000_000.25,
        "short_name": "policy_response",
        "severity": "high",
        "description": "a shell in a pod",
        "impact": "bad",
        "content": "seen",
        "class": ["flag", "proc", "policy_response", "high_severity"],
        "false_positive": False,
        "ref": "proc:1",
        "muid": "mach:1",
        "hostname": "node-7",
        "source_name": "src",
        "cluster_name": "c",
        "cluster_uid": "clus:1",
        "pod_namespace": "shop",
        "pod_namespace_labels": {"env": "prod"},
        "pod_name": "cart-0",
        "pod_uid": "pod:1",
        "pod_kuid": EVENT["pod"]["kuid"],
        "pod_labels": {"app": "cart"},
        "container": "0b1c",
        "container_name": "cart",
        "image": "cart:1",
        "image_id": "sha256:1",
        "cgroup": "systemd:/system.slice/docker.service",
        "service_name": "docker.service",
        "name": "sh",
        "exe": "/bin/sh",
        "euser": "root",
        "pid": 7,
        "ppid": 1,
        "start_ticks": 99,
        "boot_id": "b-1",
        "create_time": 1_700_000_000,
        "event_id": "dev:1",
        "policy_name": "watch",
        "policy_uid": "pol:1",
        "sources": [{"section": "default", "index": 0, "location": "watch.yaml:10:9"}],
        "policy_set": plan.policy_set,
        "plan_id": step.plan,
    }
    assert ops["schema"] == "event_opsflag:policy_response:1.0.0"
    assert ops["description"] == "policy watch raised this flag"
    for record in (red, ops):
        VALID.validate(record)


def test_the_same_event_has_the_same_id_and_another_has_another() -> None:
    first, again = records(arrived=1.0), records(arrived=2.0)
    assert [record["id"] for record in first] == [record["id"] for record in again]
    assert len({record["id"] for record in first}) == 2
    assert records({**EVENT, "id": "dev:2"})[0]["id"] != first[0]["id"]


def test_without_the_event_the_plan_says_who_it_is_about() -> None:
    step = steps_of(ENGINE.evaluate(EVENT), arrived=1.0)[0]
    record = flag_record(step)
    VALID.validate(record)
    full = records()[0]
    assert full | record == full, "less, and nothing else"
    assert (record["name"], record["pid"], record["pod_kuid"], record["event_id"]) == (
        "sh",
        7,
        EVENT["pod"]["kuid"],
        "dev:1",
    )


def test_a_step_that_was_kept_has_the_same_record() -> None:
    step = steps_of(ENGINE.evaluate(EVENT), arrived=1.0, event=EVENT, record=allowed(EVENT))[0]
    kept = Step.from_dict(json.loads(json.dumps(step.to_dict())))
    assert flag_record(kept) == flag_record(step)


def test_the_vendors_reader_finds_the_event_in_it() -> None:
    event = from_flag(records()[0])
    for scope in ("cluster", "namespace", "pod"):
        assert event[scope] == EVENT[scope]
    assert event["machine"] == {"hostname": "node-7", "uid": "mach:1"}
    assert event["container"] == {"containerID": "0b1c"}
    assert event["process"] == {key: EVENT["process"][key] for key in ("name", "exe", "euser", "pid", "ppid", "uid")}
    assert event["time"] == EVENT["time"]


def test_a_guards_alarm() -> None:
    record = alarm_record(targets=11, password="hunter2", who=["\udcff"])
    VALID.validate(record)
    assert record["schema"] == "event_opsflag:spyderresp_guard:1.0.0"
    assert (record["rule"], record["content"]) == ("breaker:overall", "the breaker opened")
    assert record["details"] == {"targets": 11, "password": "[redacted]", "who": ["\\udcff"]}
    assert record["time"] == 1_700_000_000.0
    assert "policy_name" not in record


@given(scopes, st.none() | st.floats() | st.integers() | texts)
def test_whatever_the_event_the_record_is_of_its_schema(event: dict[str, Any], time: Any) -> None:
    event = {**event, "cluster": {**event.get("cluster", {}), "name": "c"}, "time": time}
    try:
        made = records(event, Disclosure(("process", "extra")))
    except spyderresp.EventError:
        return
    assert len(made) == 2
    for record in made:
        VALID.validate(record)
        sound(record)


def test_the_fields_that_the_vendors_records_have_too_are_of_their_type(corpus: Path) -> None:
    # What only ours fix: which schemas there are, what an id looks like, what nobody has judged yet.
    ours = {"schema", "id", "version", "short_name", "class", "false_positive"}
    shared = {name: jsonschema.Draft202012Validator(rule) for name, rule in SCHEMA["properties"].items()}
    checked: dict[str, int] = {}
    flags = 0
    for path in sorted((corpus / "corpus/vendor_events").glob("*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if not record["schema"].startswith(("event_redflag:", "event_opsflag:")):
                    continue
                flags += 1
                assert set(SCHEMA["required"]) <= set(record)
                for name in (set(record) & set(shared)) - ours:
                    shared[name].validate(record[name])
                    checked[name] = checked.get(name, 0) + 1
                for name in ours:
                    assert type(record[name]) is type(records()[0][name])
    assert flags == 601
    assert {"time", "severity", "description", "ref", "muid", "name", "euser"} <= set(checked)


def test_execute_hands_the_disclosure_on() -> None:
    sink = Noting()
    event = {**EVENT, "process": {**EVENT["process"], "args": ["--token", "hunter2", "-l"]}}
    plan = ENGINE.evaluate(event)
    disclosure = Disclosure(("process.args",))
    spyderresp.execute(plan, sink, Guard(kill_switch=None), event=event, disclosure=disclosure)
    spyderresp.execute(plan, sink, Guard(kill_switch=None), event=event)
    assert [record.get("disclosed") for record in sink.records] == [
        {"process.args": ["--token", "[redacted]", "-l"]}
    ] * 2 + [None] * 2
