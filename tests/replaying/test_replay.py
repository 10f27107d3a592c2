"""A replay's totals, held against the oracle's plans counted one by one, by rows and by batches."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import strategies as s
from hypothesis import given
from hypothesis import strategies as st

import spyderresp
from spyderresp.authoring.replay.histogram import MOST, Histogram
from spyderresp.authoring.replay.report import Report
from spyderresp.authoring.replay.totals import Replay, report_of
from spyderresp.decision import reference

TEXT = pa.string()
SCHEMA = pa.schema(
    [
        ("id", TEXT),
        ("time", TEXT),
        ("policy_uid", TEXT),
        ("policy_name", TEXT),
        ("cluster", pa.struct([("name", TEXT), ("uid", TEXT)])),
        ("machine", pa.struct([("hostname", TEXT), ("uid", TEXT), ("sourceName", TEXT)])),
        ("namespace", pa.struct([("name", TEXT), ("labels", pa.map_(TEXT, TEXT))])),
        ("pod", pa.struct([("name", TEXT), ("uid", TEXT), ("kuid", TEXT), ("labels", pa.map_(TEXT, TEXT))])),
        ("container", pa.struct([(key, TEXT) for key in ("image", "imageID", "containerName", "containerID")])),
        ("service", pa.struct([("name", TEXT), ("cgroup", TEXT)])),
        ("process", pa.struct([("name", TEXT), ("exe", TEXT), ("euser", TEXT), ("uid", TEXT), ("pid", pa.int64())])),
    ]
)
TIMES = (
    None,
    "2026-11-24T01:02:03Z",
    "2026-11-24 01:02:59.5+01:00",
    "2026-11-24T01:02:03.123456789Z",
    "2026-02-30T00:00:00Z",
    "2026-11-24",
    "soon",
    "0001-01-01T00:00:00Z",
)


def texts_only(value: Any, kind: pa.DataType) -> Any:
    """Return what of an event the schema can hold."""
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        return None
    if not isinstance(value, dict):
        return value if isinstance(value, int) == pa.types.is_integer(kind) else None
    if pa.types.is_map(kind):
        return {key: item for key, item in value.items() if isinstance(item, str)}
    return {f.name: texts_only(value[f.name], f.type) for f in kind if value.get(f.name) is not None}


@st.composite
def recorded(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    documents, drawn = draw(s.cases() | s.firing_cases())
    events = []
    for event in drawn:
        held = {f.name: texts_only(event[f.name], f.type) for f in SCHEMA if event.get(f.name) is not None}
        held["time"] = draw(st.sampled_from(TIMES))
        for scope in ("pod", "process"):
            if isinstance(held.get(scope), dict):
                held[scope]["uid"] = draw(st.sampled_from((None, "u1", "u2")))
        if isinstance(held.get("process"), dict):
            held["process"]["pid"] = draw(st.sampled_from((None, 1, 2)))
        events.append(held)
    return documents, events


def by_rows(engine: spyderresp.Engine, events: list[dict[str, Any]]) -> Report:
    replay = Replay()
    for event in events:
        replay.add(engine.evaluate(event))
    return report_of(replay, engine.policies.digest, bad=0)


def by_batches(engine: spyderresp.Engine, events: list[dict[str, Any]], size: int) -> Report:
    replay = Replay()
    for start in range(0, len(events), size):
        batch = pa.RecordBatch.from_pylist(events[start : start + size], schema=SCHEMA)
        replay.add_batch(engine.evaluate_batch(batch), batch)
    return report_of(replay, engine.policies.digest, bad=0)


@given(recorded(), st.sampled_from(s.OPTIONS), st.integers(1, 5))
def test_totals_are_those_of_the_oracle(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]]], options: dict[str, Any], size: int
) -> None:
    documents, events = case
    policies = spyderresp.from_documents(documents)
    meant = reference.Options(**options)
    plans = [reference.evaluate(policies, event, meant) for event in events]
    engine = spyderresp.Engine(policies, **options)
    found = by_rows(engine, events)
    assert by_batches(engine, events, size) == found
    counts = Counter((action["action"], action["disposition"]) for plan in plans for action in plan["actions"])
    assert counts == {
        (line.what["action"], word): count for line in found.actions for word, count in line.dispositions.items()
    }
    asked = Counter(
        (name, action["disposition"])
        for plan in plans
        for action in plan["actions"]
        for name in {source["policy"] for source in action["sources"]}
    )
    assert asked == {
        (line.what["policy"], word): count for line in found.policies for word, count in line.dispositions.items()
    }
    scoped = Counter(name for plan in plans for name in set(plan["policies"]))
    assert scoped == {line.what["policy"]: line.what["in_scope"] for line in found.policies}
    assert (found.events, found.acted) == (len(events), sum(bool(plan["actions"]) for plan in plans))
    dead = {
        (event.get("process") or {}).get("uid")
        for event, plan in zip(events, plans, strict=True)
        for action in plan["actions"]
        if action["action"].startswith("agentKillProcess") and action["disposition"] == "execute"
    }
    assert len(dead - {None}) <= found.processes.executed <= len(dead - {None}) + len(events)
    readable = sum(event["time"] in TIMES[1:4] or event["time"] == TIMES[7] for event in events)
    assert found.timeless == len(events) - readable
    assert sum(bucket.events for bucket in found.buckets) == readable


def kill(**target: Any) -> dict[str, Any]:
    return {"cluster": {"name": "c"}, "time": "2026-11-24T01:02:03Z", **target}


def killers(*actions: str) -> spyderresp.Engine:
    document = {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": "p", "type": "cluster"},
        "spec": {
            "mode": "enforce",
            "clusterSelector": {"name": "*"},
            "response": {"default": [{action: None} for action in actions]},
        },
    }
    return spyderresp.Engine(spyderresp.from_documents([document]))


@pytest.mark.parametrize(
    ("pods", "distinct"),
    [
        ([{"kuid": "a"}, {"kuid": "a", "name": "x"}, {"kuid": "b"}], 2),
        ([{"uid": "a"}, {"uid": "b"}, {"uid": "a"}], 2),
        ([{"name": "x"}, {"name": "x"}, {"name": "y"}], 2),
        ([{}, {}], 0),
    ],
)
def test_pods_are_told_apart(pods: list[dict[str, Any]], distinct: int) -> None:
    found = by_rows(killers("agentKillPod"), [kill(pod=pod, namespace={"name": "n"}) for pod in pods])
    assert found.pods.executed == distinct
    assert found.unknown == sum(not pod for pod in pods)


def test_pods_of_one_name_in_two_namespaces_are_two() -> None:
    events = [kill(pod={"name": "x"}, namespace={"name": name}) for name in "aab"]
    assert by_rows(killers("agentKillPod"), events).pods.executed == 2


def test_processes_are_told_apart() -> None:
    processes = (
        ({"hostname": "a"}, {"pid": 1}),
        ({"hostname": "b"}, {"pid": 1}),
        ({"hostname": "a"}, {"pid": 2}),
        ({"hostname": "a"}, {"pid": 1, "start_ticks": 7}),
        ({"hostname": "a"}, {"pid": 1, "start_ticks": 7}),
        ({"hostname": "a"}, {"pid": 1, "uid": "u"}),
        ({"hostname": "b"}, {"pid": 9, "uid": "u"}),
        ({"hostname": "b"}, {"name": "x"}),
    )
    events = [kill(machine=machine, process=process) for machine, process in processes]
    found = by_rows(killers("agentKillProcess", "agentKillProcessTree"), events)
    assert (found.processes.executed, found.processes.audited, found.unknown) == (5, 0, 1)


def test_breakers_open_at_the_events_own_times() -> None:
    start = 1_800_000_000
    moments = [(start + place, f"pod-{place}") for place in range(12)]
    # Late in the file and early in time; and one after a minute of quiet.
    moments += [(start - 100, "pod-early"), (start + 11 + 60, "pod-late")]
    events = [{**kill(pod={"kuid": pod}, namespace={"name": "n"}), "time": moment} for moment, pod in moments]
    found = by_rows(killers("agentKillPod"), events).broken
    assert [(one.time, one.name, one.limit, one.refused) for one in found.openings] == [
        (start + 10, "agentKillPod of p", 10, 2)
    ]
    assert (found.refused, found.allowed) == (2, 12)


def test_a_flood_in_a_replay_opens_breakers() -> None:
    events = [kill(pod={"kuid": str(n)}, namespace={"name": "n"}) for n in range(11)]
    found = by_rows(killers("agentKillPod"), events).broken
    assert {one.name for one in found.openings} == {"agentKillPod of p"}
    assert (found.refused, found.allowed) == (1, 10)
    assert by_batches(killers("agentKillPod"), [*events, kill()], 4).broken == found


def test_a_recording_of_before_1970_is_not_warming_up() -> None:
    events = [{**kill(pod={"kuid": str(n)}), "time": "1960-01-01T00:00:00Z"} for n in range(11)]
    assert by_rows(killers("agentKillPod"), events).broken.refused == 1


@given(st.lists(st.tuples(st.integers(-(10**10), 10**10), st.integers(0, 3)), max_size=40), st.integers(1, 100_000))
def test_a_timeline_loses_nothing_however_long_its_buckets_become(items: list[tuple[int, int]], stride: int) -> None:
    timeline = Histogram()
    every = items + [(n * stride * 60, 0) for n in range(MOST + 10)]
    for part in (every[:7], every[7:]):
        seconds, numbers = zip(*part, strict=True)
        timeline.add(pa.array(numbers, pa.int32()), pa.array(seconds, pa.float64()))
    counts = timeline.counts().to_pylist()
    assert len({row["start"] for row in counts}) <= MOST
    wanted = Counter((second // timeline.width * timeline.width, number) for second, number in every)
    assert wanted == {(row["start"], row["outcome"]): row["events"] for row in counts}


def test_times_of_every_type_are_read_alike() -> None:
    engine = killers("agentKillPod")
    moments = [1_800_000_000, 1_800_000_030, 1_800_000_090]
    kinds = (
        pa.array(moments, pa.int64()),
        pa.array(moments, pa.float64()),
        pa.array(["2027-01-15T08:00:00Z", "2027-01-15T08:00:30Z", "2027-01-15T09:01:30+01:00"]),
        pa.array(moments, pa.int64()).cast(pa.timestamp("s")),
        pa.array(moments, pa.int64()).cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("us", "Europe/Zurich")),
    )
    kinds = (*kinds, kinds[2].dictionary_encode(), kinds[2].cast(pa.large_string()))
    pods = pa.array([{"kuid": "a"}, {"kuid": "b"}, {"kuid": "c"}])
    clusters = pa.array([{"name": "c"}] * 3)
    found = []
    for times in kinds:
        replay = Replay()
        batch = pa.RecordBatch.from_arrays([times, clusters, pods], ["time", "cluster", "pod"])
        replay.add_batch(engine.evaluate_batch(batch), batch)
        found.append((list(replay.buckets()), replay.timeless, replay.broken()))
    assert all(one == two for one, two in itertools.pairwise(found))
    assert [(start, events) for start, events, _ in found[0][0]] == [(1_800_000_000, 2), (1_800_000_060, 1)]


def test_without_pyarrow_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("")
    code = "import sys; sys.modules['pyarrow'] = None; from spyderresp.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "replay", "--policies", ".", "events.jsonl"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "pip install 'spyderresp[arrow]'" in done.stderr
