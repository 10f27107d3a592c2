"""A decision that travels: every row as ``evaluate`` has it, bad rows aside, and policies compiled once a process."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import arrow_events
import pyarrow as pa
import pytest
import strategies as s
from hypothesis import given
from hypothesis import strategies as st

import spyderresp
from spyderresp import distributed
from spyderresp.distributed import ACTIONS, PLANS, Decide, serialised_engine

POLICY = {
    "apiVersion": "spyderbat/v1",
    "kind": "SpyderbatPolicy",
    "metadata": {"name": "p", "type": "cluster"},
    "spec": {
        "mode": "enforce",
        "clusterSelector": {"name": ["a", "b*"]},
        "response": {"default": [{"makeRedFlag": {"severity": "high"}}, {"agentKillPod": None}]},
    },
}


def policies(name: str = "p") -> spyderresp.PolicySet:
    return spyderresp.from_documents([{**POLICY, "metadata": {"name": name, "type": "cluster"}}])


def told(plan: spyderresp.ActionPlan) -> list[dict[str, Any]]:
    """Return what a plan says, as its rows say it."""
    return [
        {
            "place": place,
            "action": action["action"],
            "parameters": {key: action["parameters"].get(key) for key in ACTIONS.field("parameters").type.names},
            "disposition": action["disposition"],
            **{key: action["sources"][0][key] for key in ("policy", "section", "index")},
            "sources": len(action["sources"]),
        }
        for place, action in enumerate(plan.to_dict()["actions"])
    ]


@given(s.cases(max_events=6), st.sampled_from(s.OPTIONS), st.booleans(), st.integers(0, 3))
def test_every_row_is_decided_as_evaluate_decides_its_event(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]]], options: dict[str, Any], maps: bool, cut: int
) -> None:
    documents, events = case
    said = [arrow_events.columns(event) for event in events]
    if not all(map(arrow_events.is_text, said)):
        return
    loaded = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(loaded, **options)
    plans = [told(engine.evaluate(event)) for event in said]
    batch = arrow_events.batch([{**event, "id": f"e{row}"} for row, event in enumerate(said)], maps=maps)
    sent = pickle.dumps(Decide(loaded, **options))
    serialised_engine.compiled.cache_clear()
    exploded = pickle.loads(sent)
    nested = Decide(loaded, explode=False, keep=(), **options)
    for start in {0, min(cut, len(events))}:
        part = batch.slice(start)
        wanted = [
            {"id": f"e{row}", **action, "error": None}
            for row, plan in enumerate(plans[start:], start)
            for action in plan
        ]
        assert exploded(part).to_pylist() == wanted
        assert exploded(part).schema == exploded.schema(batch.schema)
        assert nested(part).to_pylist() == [{"actions": plan, "error": None} for plan in plans[start:]]
        assert nested(part).schema == nested.schema(batch.schema) == PLANS
    assert exploded(narrowed(batch, exploded)).to_pylist() == exploded(batch).to_pylist()
    table = pa.Table.from_batches([batch.slice(0, 2), batch.slice(2), batch.slice(0, 0)])
    assert nested(table).to_pylist() == nested(batch).to_pylist()


def narrowed(batch: pa.RecordBatch, decide: Decide) -> pa.RecordBatch:
    """Return a batch with nothing but what a decision reads."""
    columns = {}
    for name, fields in decide.reads(batch.schema).items():
        column = batch.column(name)
        if fields is not None:
            held = [column.field(field) for field in fields]
            column = pa.StructArray.from_arrays(held, list(fields), mask=column.is_null())
        columns[name] = column
    return pa.record_batch(columns)


def test_what_is_read_is_what_policies_name_and_whether_objects_are_there() -> None:
    kind = [(name, pa.struct([("name", pa.string()), ("uid", pa.string())])) for name in ("cluster", "pod", "nobody")]
    events = pa.schema([("id", pa.string()), ("time", pa.string()), ("policy_uid", pa.string()), *kind])
    wanted = {"id": None, "policy_uid": None, "cluster": ("name",), "pod": ("name",)}
    assert Decide(policies()).reads(events) == wanted
    assert Decide(policies(), keep=["time", "pod"]).reads(events) == {
        "time": None,
        "policy_uid": None,
        "cluster": ("name",),
        "pod": None,
    }


def clusters(*names: bytes | None, encoded: bool = False) -> pa.RecordBatch:
    """Return events of clusters, whose names may be no texts."""
    column = pa.array(names, pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(column), column.buffers())
    if encoded:
        text = pa.DictionaryArray.from_arrays(pa.array(range(len(text)), pa.int8()), text)
    held = pa.StructArray.from_arrays([text], ["name"])
    return pa.RecordBatch.from_arrays([pa.array([f"e{row}" for row in range(len(column))]), held], ["id", "cluster"])


@pytest.mark.parametrize("encoded", [False, True])
def test_a_row_that_is_no_event_has_its_reason_and_the_others_their_plans(encoded: bool) -> None:
    events = clusters(b"a", b"b\xff", None, b"bb", b"\xff", encoded=encoded)
    bad = "cluster.name: a text is not valid UTF-8"
    plans = Decide(policies(), explode=False)(events).to_pylist()
    assert [row["error"] for row in plans] == [None, bad, None, None, bad]
    assert [None if row["actions"] is None else len(row["actions"]) for row in plans] == [2, None, 0, 2, None]
    actions = Decide(policies())(events).to_pylist()
    assert [(row["id"], row["place"], row["error"]) for row in actions] == [
        ("e0", 0, None),
        ("e0", 1, None),
        ("e1", None, bad),
        ("e3", 0, None),
        ("e3", 1, None),
        ("e4", None, bad),
    ]


def test_a_column_that_cannot_be_read_fails_each_row_and_its_schema() -> None:
    events = pa.record_batch({"id": ["e0", "e1", "e2"], "cluster": [1, 2, 3]})
    decide = Decide(policies())
    with pytest.raises(spyderresp.EventError, match="cluster: must be a column of structs"):
        decide.schema(events.schema)
    assert [(row["id"], row["action"], row["error"]) for row in decide(events).to_pylist()] == [
        (f"e{row}", None, "cluster: must be a column of structs, not int64") for row in range(3)
    ]
    assert decide(events.slice(0, 0)).num_rows == 0


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 1000])
def test_texts_of_every_length_are_whole(length: int) -> None:
    actions = [
        {"makeRedFlag": {"severity": "high", "content": "x" * length + end, "description": end * length}}
        for end in ("", "é", "日本", "yz")
    ]
    response = {"default": [action for action in actions if any(action["makeRedFlag"].values())]}
    document = {**POLICY, "spec": {**POLICY["spec"], "response": response}}  # type: ignore[dict-item]
    loaded = spyderresp.from_documents([document])
    plan = told(spyderresp.Engine(loaded).evaluate({"cluster": {"name": "a"}}))
    assert {len(action["parameters"]["content"] or "") for action in plan} >= {length + 1, length + 2}
    made = Decide(loaded, explode=False)(clusters(b"a", b"c", b"b1", b"a"))
    made.validate(full=True)
    assert [row["actions"] for row in made.to_pylist()] == [plan, [], plan, plan]


def test_what_one_column_cannot_hold_is_decided_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    events = clusters(*(b"a" if row % 3 else b"c" for row in range(50)))
    whole = Decide(policies())(events)
    monkeypatch.setattr(distributed, "_MOST", 100)
    assert Decide(policies())(events).equals(whole)
    monkeypatch.setattr(distributed, "_MOST", 1)
    rows = Decide(policies())(events).to_pylist()
    assert {row["error"] for row in rows if row["action"] is None} == {
        "the actions of these events are more than one array holds: hand in fewer"
    }


def starting(made: pa.Table | pa.RecordBatch) -> list[pa.Array]:
    """Return the columns of texts and lists, which say where their first value starts though they have none."""
    columns = [chunk for column in made.columns for chunk in getattr(column, "chunks", [column])]
    return [column for column in columns if pa.types.is_string(column.type) or pa.types.is_list(column.type)]


@pytest.mark.parametrize("explode", [False, True])
def test_no_rows_are_no_rows(explode: bool) -> None:
    decide = Decide(policies(), explode=explode)
    for events in (clusters(), pa.Table.from_batches([clusters()]), clusters().schema.empty_table()):
        made = decide(events)
        assert made.num_rows == 0
        made.validate(full=True)
        assert all(column.buffers()[1].to_pybytes()[:4] == bytes(4) for column in starting(made))
        assert starting(made) or isinstance(made, pa.Table)
        assert decide(events).schema == decide.schema(events.schema)


def test_columns_of_the_event_are_kept_as_they_are() -> None:
    events = clusters(b"a", b"c", b"b").append_column("pid", pa.array([1, 2, 3], pa.int16()))
    decide = Decide(policies(), keep=["pid", "cluster"])
    assert decide.schema(events.schema).names == ["pid", "cluster", *ACTIONS.names]
    assert decide(events).column("pid").to_pylist() == [1, 1, 3, 3]
    assert decide(events).column("cluster").to_pylist() == [{"name": name} for name in "aabb"]
    with pytest.raises(ValueError, match="no column `pid`"):
        decide.schema(clusters().schema)
    with pytest.raises(ValueError, match="rename"):
        Decide(policies(), keep=["policy"])
    with pytest.raises(TypeError, match="list of names"):
        Decide(policies(), keep="id")  # type: ignore[arg-type]


def test_however_often_it_travels_policies_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    make = serialised_engine.Engine

    def slow(*arguments: Any, **options: Any) -> spyderresp.Engine:
        compiled.append(threading.get_ident())
        time.sleep(0.05)
        return make(*arguments, **options)

    data = pickle.dumps(Decide(policies("once")))
    other = pickle.dumps(Decide(policies("once"), mode="audit"))
    # Here they are compiled already.
    serialised_engine.compiled.cache_clear()
    monkeypatch.setattr(serialised_engine, "Engine", slow)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(pickle.loads, [data] * 16))
    assert len(compiled) == 1
    assert len({decide(clusters(b"a")).num_rows for decide in made}) == 1
    (row, _) = pickle.loads(other)(clusters(b"a")).to_pylist()
    assert row["disposition"] == "audit"
    assert len(compiled) == 2


def test_the_sets_that_a_process_keeps_are_few() -> None:
    for number in range(10):
        pickle.loads(pickle.dumps(Decide(policies(f"few {number}"))))
    assert serialised_engine.compiled.cache_info().currsize <= 4
    assert serialised_engine.packed.cache_info().currsize <= 4


def test_it_travels_small_and_decides_the_same_in_another_process() -> None:
    documents = [{**POLICY, "metadata": {"name": f"p{number}", "type": "cluster"}} for number in range(500)]
    decide = Decide(spyderresp.from_documents(documents), defaults="unless-overridden", not_in="documented")
    fresh = len(pickle.dumps(decide))
    wanted = decide(clusters(b"a", b"x"))
    assert len(pickle.dumps(decide)) == fresh < 20 * len(documents)
    data = pickle.dumps((decide, clusters(b"a", b"x")))
    program = "import pickle, sys\nd, e = pickle.load(sys.stdin.buffer)\nsys.stdout.buffer.write(pickle.dumps(d(e)))"
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert pickle.loads(done.stdout) == wanted
    assert wanted.num_rows == len(documents) + 1


@given(s.cases(max_events=1))
def test_policies_arrive_with_all_that_their_digest_covers(case: tuple[list[dict[str, Any]], Any]) -> None:
    loaded = spyderresp.from_documents(case[0])
    arrived = serialised_engine.unpack(serialised_engine.pack(loaded))
    assert arrived.digest == loaded.digest
    assert serialised_engine.pack(arrived) == serialised_engine.pack(loaded)


def test_policies_that_arrive_as_others_are_refused() -> None:
    sent = serialised_engine.Shipped("sha256:0", ("always", "kubernetes", None), serialised_engine.pack(policies()))
    with pytest.raises(ValueError, match="changed on the way"):
        serialised_engine.engine_of(sent)
    with pytest.raises(TypeError, match="PolicySet"):
        Decide([POLICY])  # type: ignore[arg-type]


def test_an_engine_pickles_as_policies_and_options_however_much_it_decided() -> None:
    engine = spyderresp.Engine(policies(), defaults="unless-overridden", not_in="documented", mode="audit")
    fresh = pickle.dumps(engine)
    engine.evaluate_batch(clusters(b"a", b"b", b"c"))
    for number in range(100):
        engine.evaluate({"cluster": {"name": f"b{number}"}})
    assert pickle.dumps(engine) == fresh
    assert len(fresh) < len(pickle.dumps(engine.policies)) + 200
    twin = pickle.loads(fresh)
    assert pickle.dumps(twin) == fresh
    assert twin.evaluate({"cluster": {"name": "a"}}) == engine.evaluate({"cluster": {"name": "a"}})
