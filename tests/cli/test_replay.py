"""``spyderresp replay`` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recorded_files import GOOD, KINDS, lines, write_every_kind, write_texts_that_are_none


@pytest.fixture
def recorded(place: Path) -> Path:
    """The same events in every kind of file."""
    write_every_kind()
    return place


def test_every_kind_of_file_comes_to_the_same(run, recorded):
    found = []
    for kind in KINDS:
        result = run("replay", "--policies", "policies", "--format", "json", f"kinds/{kind}")
        assert (result.code, result.err) == (0, ""), kind
        found.append(json.loads(result.out))
    assert all(one == found[0] for one in found)
    (said, *_) = found
    assert (said["events"], said["bad"], said["timeless"], said["acted"]) == (20, 0, 0, 20)
    assert said["deaths"] == {
        "pods": {"executed": 3, "audited": 0},
        "processes": {"executed": 5, "audited": 0},
        "unidentified": 0,
    }
    counts = {line["action"]: line["dispositions"] for line in said["actions"]}
    assert counts["agentKillPod"] == counts["agentKillProcessTree"] == {"execute": 20}
    assert said["namespaces"] == [{"namespace": "shop", "executed": 40, "audited": 0}]
    assert said["timeline"]["seconds"] == 60
    assert [bucket["events"] for bucket in said["timeline"]["buckets"]] == [1] * 20


def test_directories_globs_and_standard_input(run, recorded):
    def events(*words: str, stdin: bytes = b"") -> int:
        result = run("replay", "--policies", "policies", "--format", "json", *words, stdin=stdin)
        assert result.code == 0
        return json.loads(result.out)["events"]

    assert events("kinds") == 120
    assert events("kinds/*.jsonl*") == 60
    assert events("**/*.parquet", "kinds/a.jsonl") == 40
    for kind in KINDS:
        assert events("-", stdin=Path("kinds", kind).read_bytes()) == 20, kind
    Path("kinds/.hidden.jsonl").write_text("{")
    Path("kinds/notes.txt").write_text("{")
    assert events("kinds") == 120


def test_bad_events_are_named_and_counted(run, recorded):
    Path("bad.jsonl").write_bytes(lines(GOOD[:2]) + b'{"process": 7}\n\n{"a"\n' + lines(GOOD[2:3]))
    result = run("replay", "--policies", "policies", "bad.jsonl")
    assert result.code == 1
    assert result.out.startswith("3 events decided, 3 with an action; 2 bad\n")
    assert result.err == (
        "bad.jsonl:3: error: process: must be a mapping or null\n"
        "bad.jsonl:5: error: not valid JSON: expecting ':' delimiter, line 1 column 5\n"
    )


def test_a_bad_row_does_not_cost_its_batch(run, recorded):
    keys = pa.array(["/bin/bash", 7, "/bin/sh"][::2] * 2)
    process = pa.StructArray.from_arrays([keys], ["exe"])
    names = pa.array([{"name": "prod-1"}] * 4)
    # Labels that are no mappings, in two rows of four.
    labels = pa.array([None, ["x"], None, ["y"]])
    namespace = pa.StructArray.from_arrays([labels], ["labels"])
    pq.write_table(pa.table({"cluster": names, "process": process, "namespace": namespace}), "bad.parquet")
    result = run("replay", "--policies", "policies", "--format", "json", "bad.parquet")
    assert result.code == 1
    assert (json.loads(result.out)["events"], json.loads(result.out)["bad"]) == (2, 2)
    assert result.err == "".join(
        f"bad.parquet:{row}: error: namespace.labels: must be a mapping or null\n" for row in (2, 4)
    )


def test_a_row_that_holds_no_text_does_not_cost_its_batch(run, recorded):
    write_texts_that_are_none("bad.parquet")
    result = run("replay", "--policies", "policies", "--format", "json", "bad.parquet")
    said = json.loads(result.out)
    # Nobody looks at the id of row 2.
    assert (result.code, said["events"], said["bad"]) == (1, 3, 1)
    assert result.err == "bad.parquet:4: error: a text is not valid UTF-8\n"


def test_beside_a_bad_row_times_of_every_type_are_read(run, recorded):
    moments = pa.array([1_800_000_000, 1_800_000_120, None], pa.int64())
    labels = pa.StructArray.from_arrays([pa.array([None, ["x"], None])], ["labels"])
    names = pa.array([{"name": "prod-1"}] * 3)
    for kind in (pa.int64(), pa.timestamp("s"), pa.timestamp("ms", "Europe/Zurich"), pa.timestamp("ns", "UTC")):
        table = {"cluster": names, "namespace": labels, "time": moments.cast(pa.timestamp("s")).cast(kind)}
        pq.write_table(pa.table(table), "bad.parquet")
        said = json.loads(run("replay", "--policies", "policies", "--format", "json", "bad.parquet").out)
        assert (said["events"], said["bad"], said["timeless"]) == (2, 1, 1)
        assert [bucket["time"] for bucket in said["timeline"]["buckets"]] == ["2027-01-15T08:00:00Z"]


def test_tables_of_another_form_are_not_taken_for_empty_events(run, recorded):
    alerts = [
        {"rule": "r", "priority": "x", "output": "o", "time": "2026-11-24T01:02:03Z",
         "output_fields": {"proc.name": "bash", "k8s.ns.name": "shop"}}
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(alerts), "alerts.parquet")
    Path("alerts.jsonl").write_bytes(lines(alerts))
    first, second = (run("replay", "--policies", "policies", "--format", "json", f"alerts.{end}") for end in
                     ("parquet", "jsonl"))  # fmt: skip
    assert first.code == 0
    assert first == second


def test_what_cannot_be_read(run, recorded):
    whole = Path("kinds/b.jsonl.gz").read_bytes()
    Path("cut.gz").write_bytes(whole[:-20])
    Path("flip.gz").write_bytes(whole[:30] + b"\xff\xff\xff\xff" + whole[34:])
    Path("cut.zst").write_bytes(Path("kinds/c.jsonl.zst").read_bytes()[:-9] + b"123456789")
    Path("cut.parquet").write_bytes(Path("kinds/d.parquet").read_bytes()[:-20])
    Path("cut.arrow").write_bytes(Path("kinds/e.arrow").read_bytes()[:-20])
    Path("empty").mkdir()
    for path in ("cut.gz", "flip.gz", "cut.zst", "cut.parquet", "cut.arrow", "empty", "gone.jsonl", "*.nothing"):
        result = run("replay", "--policies", "policies", path)
        assert (result.code, result.out) == (3, ""), path
        assert result.err.startswith(f"spyderresp: {path}: "), result.err
        assert result.err.count("\n") == 1
    assert run("replay", "--policies", "policies", "-", "-").code == 3
    assert run("replay", "--policies", "mixed.yaml", "kinds").code == 2
    assert run("replay", "--policies", "policies", "--engine", "abacus", "kinds").code == 3


def test_text(run, recorded):
    result = run("replay", "--policies", "policies", "kinds/a.jsonl")
    said = result.out.splitlines()
    assert said[0] == "20 events decided, 20 with an action"
    assert any(line.startswith("  production, actions[1] agentKillPod ") for line in said)
    assert "  pods                   3   and 0 more if no policy were in audit mode" in said
    assert "  pod pay-0 in shop: 7 executed, 0 audited" in said
    assert "  0 kills refused, 40 allowed" in said
    assert said[-1].startswith("  2026-11-24T01:19:00Z          1        2 kills  #")


@pytest.mark.parametrize("key", ["uid", "name"])
def test_a_target_that_is_no_text_is_a_bad_row_and_no_death(run, recorded, key):
    texts = {"uid": ["a", "b", "c"], "name": ["n"] * 3}
    columns = [pa.array(values) for values in texts.values()]
    columns[list(texts).index(key)] = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    process = pa.StructArray.from_arrays(columns, list(texts))
    cluster = pa.StructArray.from_arrays([pa.array(["c"] * 3)], ["name"])
    pq.write_table(pa.table({"process": process, "cluster": cluster}), "bad.parquet")
    spec = {"mode": "enforce", "clusterSelector": {"name": "c"}, "response": {"default": [{"agentKillProcess": None}]}}
    policy = {"apiVersion": "spyderbat/v1", "kind": "SpyderbatPolicy", "metadata": {"name": "p", "type": "cluster"}}
    Path("kill.json").write_text(json.dumps({**policy, "spec": spec}))
    result = run("replay", "--policies", "kill.json", "--format", "json", "bad.parquet")
    said = json.loads(result.out)
    assert (result.code, said["events"], said["deaths"]["processes"]["executed"]) == (1, 2, 2)
    assert result.err == "bad.parquet:2: error: a text is not valid UTF-8\n"


def test_a_damaged_arrow_file_is_an_error_and_no_crash(run, recorded):
    texts = ["a name that is long enough not to be inline"] * 100
    names = pa.StructArray.from_arrays([pa.array(texts, pa.string_view())], ["name"])
    sink = pa.BufferOutputStream()
    batch = pa.RecordBatch.from_arrays([names], ["cluster"])
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write(batch)
    data = bytearray(sink.getvalue().to_pybytes())
    # The place of each text in its buffer, behind its length, its first four bytes and its buffer's number.
    at = data.index(b"a na", data.index(b"a na") + 1) + 8
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    Path("damaged.arrow").write_bytes(data)
    result = run("replay", "--policies", "policies", "damaged.arrow")
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith("spyderresp: damaged.arrow: ")
