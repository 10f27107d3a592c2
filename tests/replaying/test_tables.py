"""Parquet, of which only what is looked at is read, texts that repeat as dictionaries: totals as of whole rows."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import replaying_slowly as slowly
import strategies as s
from hypothesis import given
from hypothesis import strategies as st

import spyderresp
from spyderresp.authoring.replay.kills import fallback_paths, target_paths
from spyderresp.authoring.replay.totals import Replay
from spyderresp.events import tables
from spyderresp.events.tables import ParquetTable

TEXT = pa.string()
LABELS = {
    "map": pa.map_(TEXT, TEXT),
    "struct": pa.struct([(key, TEXT) for key in ("app", "env", "kubernetes.io/metadata.name", "name", "other")]),
}


def schema(labels: pa.DataType) -> pa.Schema:
    process = [(key, TEXT) for key in ("name", "exe", "euser", "uid", "boot_id")]
    return pa.schema(
        [
            *((key, TEXT) for key in ("id", "time", "policy_uid", "policy_name", "more")),
            ("cluster", pa.struct([("name", TEXT), ("uid", TEXT)])),
            ("machine", pa.struct([("hostname", TEXT), ("uid", TEXT), ("sourceName", TEXT)])),
            ("namespace", pa.struct([("labels", labels), ("name", TEXT)])),
            ("pod", pa.struct([("labels", labels), ("name", TEXT), ("uid", TEXT), ("kuid", TEXT)])),
            ("container", pa.struct([(key, TEXT) for key in ("image", "imageID", "containerName", "containerID")])),
            ("service", pa.struct([("name", TEXT), ("cgroup", TEXT)])),
            ("process", pa.struct([*process, ("pid", pa.int64()), ("args", pa.list_(TEXT))])),
        ]
    )


def told(value: Any, kind: pa.DataType) -> Any:
    """Return what of a value its column can hold."""
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        if not isinstance(value, dict):
            return None
        keys = value if pa.types.is_map(kind) else [f.name for f in kind]
        held = {key: told(value.get(key), TEXT if pa.types.is_map(kind) else kind.field(key).type) for key in keys}
        return {key: item for key, item in held.items() if item is not None}
    if pa.types.is_integer(kind):
        return len(value) if isinstance(value, str) else None
    if not isinstance(value, str) or any("\ud800" <= char <= "\udfff" for char in value):
        return None
    return value if pa.types.is_string(kind) else None


@st.composite
def recorded(draw: st.DrawFn) -> tuple[list[dict[str, Any]], pa.Table]:
    documents, drawn = draw(s.firing_cases())
    columns = schema(LABELS[draw(st.sampled_from(("map", "struct")))])
    events = []
    for event in drawn * draw(st.integers(1, 3)):
        held = {field.name: told(event.get(field.name), field.type) for field in columns}
        held["time"] = draw(st.sampled_from((None, "2026-11-24T01:02:03Z", "2026-11-24T01:03:04.5Z")))
        events.append({key: value for key, value in held.items() if value is not None})
    return documents, pa.Table.from_pylist(events, schema=columns)


def of(engine: spyderresp.Engine, batches: Any) -> dict[str, Any]:
    replay = Replay()
    for batch in batches:
        replay.add_batch(engine.evaluate_batch(batch), batch)
    return slowly.found(replay)


@given(recorded(), st.integers(1, 5), st.sampled_from((1, 1_000_000)), st.booleans())
def test_what_is_not_read_changes_nothing(
    case: tuple[list[dict[str, Any]], pa.Table], size: int, page: int, encoded: bool
) -> None:
    documents, table = case
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies)
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=size, dictionary_pagesize_limit=page)
    wanted = tables.required_columns([policies], ("time",), target_paths(policies), fallback_paths(policies))
    with pytest.MonkeyPatch.context() as patch:
        if encoded:
            patch.setattr("spyderresp.events.tables._MIN_ROWS", 0)
            patch.setattr("spyderresp.events.tables._MAX_BYTES", 1_000_000)
        read = list(tables.batches(file, "parquet", wanted))
    assert sum(batch.num_rows for batch in read) == table.num_rows
    found = of(engine, read)
    whole = of(engine, table.to_batches())
    assert found == whole


def test_of_parquet_only_what_is_looked_at_is_read() -> None:
    policies = spyderresp.from_documents(
        [
            {
                "apiVersion": "spyderbat/v1",
                "kind": "SpyderbatPolicy",
                "metadata": {"name": "p", "type": "cluster"},
                "spec": {
                    "clusterSelector": {"name": "*"},
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "n"}},
                    "podSelector": {"matchLabels": {"app": "a"}},
                    "response": {"default": [{"makeRedFlag": {"severity": "low"}}]},
                },
            }
        ]
    )
    columns = schema(LABELS["struct"])
    assert tables.required_columns([policies], ("time",), target_paths(policies)).paths(columns, bool) == [
        *("time", "policy_uid", "policy_name", "cluster.name"),
        *("namespace.labels.kubernetes.io/metadata.name", "namespace.name", "pod.labels.app", "process.name"),
    ]


@pytest.mark.parametrize("uids", [["a", "b"], ["a", None]])
def test_what_else_tells_processes_apart_is_read_where_some_have_no_uid(uids: list[str | None]) -> None:
    document = {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": "p", "type": "cluster"},
        "spec": {"clusterSelector": {"name": "*"}, "response": {"default": [{"agentKillProcess": None}]}},
    }
    policies = spyderresp.from_documents([document])
    process = pa.array([{"uid": uid, "pid": 7, "name": "n"} for uid in uids])
    machine = pa.array([{"uid": "m", "hostname": "h"}] * 2)
    file = io.BytesIO()
    pq.write_table(pa.table({"process": process, "machine": machine}), file)
    table = ParquetTable(file)
    read = tables.required_columns([policies], (), target_paths(policies), fallback_paths(policies)).paths(
        table.schema, table.never_null
    )
    others = ["machine.uid", "machine.hostname", "process.uid", "process.pid", "process.name"]
    assert sorted(read) == (["process.name", "process.uid"] if all(uids) else sorted(others))


@pytest.mark.parametrize("page", [100, 1_000_000])
def test_texts_that_repeat_are_read_as_dictionaries_and_all_others_plain(page: int) -> None:
    rows = 30_000
    names = [f"name-{number % 7}" for number in range(rows)]
    uids = [f"uid-{number}" for number in range(rows)]
    struct = pa.StructArray.from_arrays([pa.array(names), pa.array(uids)], ["name", "uid"])
    labels = [[("app", f"app-{number % 5}"), ("of", f"of-{number}")][: number % 3] for number in range(rows)]
    pods = pa.StructArray.from_arrays([pa.array(labels, LABELS["map"])], ["labels"])
    table = pa.table({"cluster": struct, "pod": pods, "time": pa.array(range(rows))})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=10_000, dictionary_pagesize_limit=page)
    read = list(ParquetTable(file).batches(4_000, ["cluster.name", "cluster.uid", "pod.labels", "time"]))
    assert pa.types.is_dictionary(read[0].schema.field("pod").type.field("labels").type.key_type)
    kinds = {field.name: field.type for field in read[0].schema.field("cluster").type}
    assert kinds == {"name": pa.dictionary(pa.int32(), TEXT), "uid": TEXT}
    assert [row for batch in read for row in batch.to_pylist()] == table.to_pylist()


def test_a_column_may_give_its_dictionary_up_within_a_row_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spyderresp.events.tables._MAX_BYTES", 1_000)
    rows = 20_000
    struct = pa.StructArray.from_arrays([pa.array([f"a name of its own, {n}" for n in range(rows)])], ["name"])
    file = io.BytesIO()
    # Its first pages have a dictionary, the others plain texts.
    pq.write_table(pa.table({"cluster": struct}), file, dictionary_pagesize_limit=100_000, data_page_size=10_000)
    read = list(ParquetTable(file).batches(3_000, ["cluster.name"]))
    assert [row["cluster"] for batch in read for row in batch.to_pylist()] == struct.to_pylist()


def test_deciding_batches_does_not_import_pandas(tmp_path: Path) -> None:
    """Importing it takes a third of a second, and pyarrow does so where it is given values that are not its own."""
    pq.write_table(pa.table({"cluster": [{"name": "a"}], "time": [1.5], "id": ["e"]}), tmp_path / "events.parquet")
    (tmp_path / "policy.json").write_text(
        '{"apiVersion": "spyderbat/v1", "kind": "SpyderbatPolicy", "metadata": {"name": "p", "type": "cluster"},'
        ' "spec": {"clusterSelector": {"name": "a"}, "response": {"default": [{"makeRedFlag": {"severity": "low"}}]}}}'
    )
    program = """
import importlib.abc, sys
class Refusal(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] != "pandas"
sys.meta_path.insert(0, Refusal())
import pyarrow.parquet as pq, spyderresp
from spyderresp.distributed import Decide
events = pq.ParquetFile("events.parquet").read()
policies = spyderresp.load("policy.json")
assert spyderresp.Engine(policies).evaluate_batch(events).table.num_rows == Decide(policies)(events).num_rows == 1
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
