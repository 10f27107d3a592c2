"""Batches of Arrow columns: each row's plan is the one that ``evaluate`` gives for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import arrow_events
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import strategies as s
from hypothesis import given
from hypothesis import strategies as st

import spyderresp
from spyderresp.decision import reference

TEXT = pa.string()


def encoded(column: Any, width: Any) -> Any:
    """Return a column with every text in it dictionary-encoded."""
    if pa.types.is_struct(column.type):
        inner = [encoded(column.field(place), width) for place in range(column.type.num_fields)]
        mask = column.is_null()
        return pa.StructArray.from_arrays(inner, [field.name for field in column.type], mask=mask)
    if pa.types.is_map(column.type):
        keys, items = (encoded(part, width) for part in (column.keys, column.items))
        made = pa.MapArray.from_arrays(column.offsets, keys, items)
        return made.take(pc.if_else(column.is_null(), None, pa.array(range(len(column)), pa.int64())))
    if pa.types.is_string(column.type):
        return column.dictionary_encode().cast(pa.dictionary(width, TEXT))
    return column


def plans_of(result: Any) -> list[dict[str, Any]]:
    return [plan.to_dict() for plan in result]


@given(s.cases(max_events=6), st.sampled_from(s.OPTIONS), st.booleans(), st.integers(0, 3))
def test_every_row_has_the_plan_of_its_event(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]]], options: dict[str, Any], maps: bool, cut: int
) -> None:
    documents, events = case
    said = [arrow_events.columns(event) for event in events]
    if not all(map(arrow_events.is_text, said)):
        return
    engine = spyderresp.Engine(spyderresp.from_documents(documents), **options)
    plans = [engine.evaluate(event).to_dict() for event in said]
    batch = arrow_events.batch(said, maps=maps)
    assert plans_of(engine.evaluate_batch(batch)) == plans
    assert plans_of(engine.evaluate_batch(batch.slice(cut))) == plans[cut:]
    table = pa.Table.from_batches([batch.slice(0, 2), batch.slice(2)])
    result = engine.evaluate_batch(table)
    assert plans_of(result) == plans
    for width in (pa.int8(), pa.uint16(), pa.int32(), pa.int64()):
        wide = pa.RecordBatch.from_arrays(
            [encoded(column, width) for column in batch.columns], names=batch.schema.names
        )
        assert plans_of(engine.evaluate_batch(wide)) == plans
        assert engine.evaluate_batch(wide.slice(cut)).table.num_rows == sum(
            len(plan["actions"]) for plan in plans[cut:]
        )
    told = [
        (
            place,
            action["action"],
            action["disposition"],
            {k: v for k, v in action["parameters"].items() if v is not None},
            *[action["sources"][0][key] for key in ("policy", "section", "index")],
            len(action["sources"]),
        )
        for place, plan in enumerate(plans)
        for action in plan["actions"]
    ]
    found = [
        (
            row["row"],
            row["action"],
            row["disposition"],
            {k: v for k, v in row["parameters"].items() if v is not None},
            row["policy"],
            row["section"],
            row["index"],
            row["sources"],
        )
        for row in result.table.to_pylist()
    ]
    assert found == told


POLICY = {
    "apiVersion": "spyderbat/v1",
    "kind": "SpyderbatPolicy",
    "metadata": {"name": "p", "type": "cluster"},
    "spec": {
        "mode": "enforce",
        "clusterSelector": {"name": ["a", "b*"]},
        "podSelector": {"matchLabels": {"app": "x"}},
        "response": {"default": [{"agentKillPod": None}]},
    },
}


@pytest.mark.parametrize(
    ("columns", "path"),
    [
        ({"cluster": [1]}, "cluster"),
        ({"cluster": [{"name": 1}]}, "cluster.name"),
        ({"pod": [{"labels": "x"}]}, "pod.labels"),
        ({"pod": ["x"]}, "pod"),
        ({"process": ["x"]}, "process"),
        ({"policy_uid": [1]}, "policy_uid"),
    ],
)
def test_a_column_of_another_type_is_refused_by_its_path(columns: dict[str, Any], path: str) -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    with pytest.raises(spyderresp.EventError) as caught:
        engine.evaluate_batch(pa.table(columns))
    assert caught.value.path == path


def pods(**columns: Any) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Return rows that fire, with these columns of the process beside, and their events."""
    rows = len(next(iter(columns.values())))
    process = pa.StructArray.from_arrays(list(columns.values()), list(columns))
    table = pa.table(
        {
            "id": pa.array([f"e{row}" for row in range(rows)]),
            "cluster": pa.array([{"name": "a", "uid": "u"}] * rows),
            "pod": pa.array([{"name": "é", "uid": None, "labels": {"app": "x"}}] * rows),
            "process": process,
        }
    )
    return table, table.to_pylist()


@pytest.mark.parametrize(
    "kind", [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)] + ["float32", "float64", "float16"]
)
def test_numbers_of_a_target_are_those_of_the_event(kind: str) -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    numbers = pa.array([0, 1, None, 127], pa.int64()).cast(pa.float32()).cast(getattr(pa, kind)())
    if kind == "float64":
        numbers = pa.array([0.5, float("nan"), None, 1e300])
    elif kind in ("int64", "uint64"):
        numbers = pa.array([-(2**63) if kind == "int64" else 2**64 - 1, 1, None, 2], getattr(pa, kind)())
    table, events = pods(pid=numbers, exe=pa.array(["/a", "b", "b", None]).dictionary_encode())
    wanted = [engine.evaluate(event).to_dict() for event in events]
    assert all(plan["actions"] for plan in wanted)
    assert plans_of(engine.evaluate_batch(table)) == wanted
    assert plans_of(engine.evaluate_batch(table.slice(2))) == wanted[2:]


@pytest.mark.parametrize(
    "columns",
    [
        {"start_time": pa.array([1, None], pa.timestamp("us")), "name": pa.array(["a", None], pa.large_string())},
        {"pid": pa.array([True, None]), "name": pa.array(["a", "b"])},
        {"pid": pa.array([[1], None]), "name": pa.array(["a", "b"])},
        {"pid": pa.array([1, None]).dictionary_encode(), "name": pa.nulls(2)},
        {"name": pa.array([b"a", None]), "exe": pa.array(["a", None]).dictionary_encode()},
    ],
)
def test_values_of_any_type_are_kept_as_the_event_would(columns: dict[str, Any]) -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    table, events = pods(**columns)
    assert plans_of(engine.evaluate_batch(table)) == [engine.evaluate(event).to_dict() for event in events]


@pytest.mark.parametrize("own", [pa.array([1, None]), pa.array([["x"], None]), pa.array([True, False]), pa.nulls(2)])
def test_ids_of_any_type(own: Any) -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    table, _ = pods(pid=pa.array([1, 2]))
    table = table.set_column(0, "id", own)
    assert plans_of(engine.evaluate_batch(table)) == [engine.evaluate(e).to_dict() for e in table.to_pylist()]


@pytest.mark.parametrize("maps", [False, True])
def test_a_label_names_the_namespace_of_a_target(*, maps: bool) -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    key, (table, events) = "kubernetes.io/metadata.name", pods(pid=pa.array([1, 2, 3]))
    said = [{"name": None, "labels": {key: "n"}}, {"name": "own", "labels": {key: "n"}}, None]
    kind = pa.map_(TEXT, TEXT) if maps else pa.struct([(key, TEXT)])
    rows = [held and {**held, "labels": list(held["labels"].items()) if maps else held["labels"]} for held in said]
    table = table.append_column("namespace", pa.array(rows, pa.struct([("name", TEXT), ("labels", kind)])))
    plans = plans_of(engine.evaluate_batch(table))
    assert plans == [engine.evaluate({**e, "namespace": n}).to_dict() for e, n in zip(events, said, strict=True)]
    assert [plan["target"].get("namespace") for plan in plans] == [{"name": "n"}, {"name": "own"}, None]


def test_rows_are_found_by_place() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    table, events = pods(pid=pa.array(range(10)))
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3, 0), table.slice(3)])
    result = engine.evaluate_batch(chunked)
    assert [plan.event for plan in result] == [event["id"] for event in events]
    assert [result[row].event for row in range(-10, 10)] == 2 * [event["id"] for event in events]
    assert [plan.event for plan in result[2:8:3]] == ["e2", "e5"]
    for row in (10, -11):
        with pytest.raises(IndexError):
            result[row]
    result.table.validate(full=True)


def test_what_is_no_text_and_what_is_no_table() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    broken = pa.Array.from_buffers(TEXT, 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    batch = pa.RecordBatch.from_arrays([pa.StructArray.from_arrays([broken], ["name"])], names=["cluster"])
    with pytest.raises(spyderresp.EventError, match=r"row 0: a text is not valid UTF-8"):
        engine.evaluate_batch(batch)
    with pytest.raises(TypeError, match="RecordBatch"):
        engine.evaluate_batch([{}])


def test_columns_that_are_missing_are_absent() -> None:
    policies = spyderresp.from_documents([POLICY])
    engine = spyderresp.Engine(policies)
    table = pa.table({"cluster": [{"name": "a"}, {"name": "bé"}, None], "other": [1, 2, 3]})
    for row, plan in enumerate(engine.evaluate_batch(table)):
        assert plan.to_dict()["actions"] == reference.evaluate(policies, table.slice(row, 1).to_pylist()[0])["actions"]


def test_an_index_out_of_its_dictionary_is_refused() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    for index in (7, -1):
        names = pa.DictionaryArray.from_arrays(pa.array([0, index], pa.int8()), pa.array(["a"]), safe=False)
        batch = pa.RecordBatch.from_arrays([pa.StructArray.from_arrays([names], ["name"])], names=["cluster"])
        with pytest.raises(spyderresp.EventError, match=r"cluster\.name: row 1: a dictionary index leads out"):
            engine.evaluate_batch(batch)


def labelled(keys: list[int | None], items: list[int | None], offsets: list[int]) -> pa.RecordBatch:
    """Return events with labels in maps, by places in a dictionary of keys and one of items."""
    parts = [
        pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), pa.array(words), safe=False)
        for places, words in ((keys, ["app", "tier"]), (items, ["x", None, "y"]))
    ]
    labels = pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), *parts)
    rows = len(offsets) - 1
    held = [
        pa.StructArray.from_arrays([pa.array(["a"] * rows)], ["name"]),
        pa.StructArray.from_arrays([labels], ["labels"]),
    ]
    return pa.RecordBatch.from_arrays(held, names=["cluster", "pod"])


def test_of_equal_keys_in_a_map_of_dictionaries_the_last_counts() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    batch = labelled([0, 0, 0, 0, 0, 1, 0], [0, 2, 2, 0, None, 0, 1], [0, 2, 4, 5, 6, 7])
    assert [len(plan) for plan in engine.evaluate_batch(batch)] == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("place", [7, -1])
def test_an_index_out_of_a_dictionary_of_labels_is_refused(place: int) -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    for keys, items in (([0, place], [0, 0]), ([0, 0], [0, place])):
        with pytest.raises(spyderresp.EventError, match=r"pod\.labels: row 1: a dictionary index leads out"):
            engine.evaluate_batch(labelled(list(keys), list(items), [0, 1, 2]))
    # Of labels that nobody asks for only the key is looked at.
    assert [len(plan) for plan in engine.evaluate_batch(labelled([0, 1], [0, place], [0, 1, 2]))] == [1, 0]


def test_dictionaries_that_differ_from_batch_to_batch() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))

    def batches() -> Iterator[pa.RecordBatch]:
        # Made and dropped one by one, so that one dictionary may well lie where the last one lay.
        for name in ("a", "c", "bx", "d", "a"):
            names = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array([name]))
            labels = pa.array([{"labels": {"app": "x"}}])
            yield pa.RecordBatch.from_arrays(
                [pa.StructArray.from_arrays([names], ["name"]), labels], names=["cluster", "pod"]
            )

    reader = pa.RecordBatchReader.from_batches(next(batches()).schema, batches())
    assert [len(plan) for plan in engine.evaluate_batch(reader)] == [1, 0, 1, 0, 1]


def test_threads_share_an_engine() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    rows = [
        {"cluster": {"name": f"{'ab'[number % 2]}{number}"}, "pod": {"labels": {"app": "x"}}} for number in range(5_000)
    ]
    table = pa.Table.from_pylist(rows)
    wanted = engine.evaluate_batch(table).table
    assert wanted.num_rows == 2_500
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: engine.evaluate_batch(table).table, range(16)):
            assert result.equals(wanted)


def test_texts_of_more_classes_than_have_numbers() -> None:
    letters = "abcdefghijklm"
    documents = [
        {
            **POLICY,
            "metadata": {"name": letter, "type": "cluster"},
            "spec": {**POLICY["spec"], "clusterSelector": {"name": f"*{letter}*"}},
        }
        for letter in letters
    ]
    engine = spyderresp.Engine(spyderresp.from_documents(documents))
    # Each combination of letters is a class of its own: 8,192, of which 4,096 have a number.
    names = ["-" + "".join(c for bit, c in enumerate(letters) if number >> bit & 1) for number in range(1 << 13)]
    for order in (names, names[::-1]):
        for name in (pa.array(order), pa.array(order).dictionary_encode()):
            cluster = pa.StructArray.from_arrays([name], ["name"])
            labels = pa.array([{"labels": {"app": "x"}}] * len(names))
            result = engine.evaluate_batch(
                pa.RecordBatch.from_arrays([cluster, labels], names=["cluster", "pod"]),
            )
            for row in range(0, len(names), 97):
                assert sorted(result[row].policies) == sorted(order[row][1:])
            # All of them plan one and the same action.
            assert result.table.num_rows == sum(bool(name[1:]) for name in order)


def test_long_and_odd_texts_that_come_again() -> None:
    policies = spyderresp.from_documents([POLICY])
    engine = spyderresp.Engine(policies)
    texts = ["b" * 5_000, "b\u00e9" * 300, "\U0001f600", "", "b", "bb", "a" * 600, "a"]
    for width in range(3):
        rows = [{"cluster": {"name": f"{text}{'x' * width}"}, "pod": {"labels": {"app": "x"}}} for text in texts] * 40
        for _ in range(2):
            found = [len(plan) for plan in engine.evaluate_batch(pa.Table.from_pylist(rows))]
            assert found == [len(reference.evaluate(policies, row)["actions"]) for row in rows]


def test_tables_of_one_engine_share_their_words() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    some = pa.table({"cluster": [{"name": "a"}], "pod": [{"labels": {"app": "x"}}]})
    columns = [engine.evaluate_batch(table).table["policy"] for table in (some, some.slice(1), some)]
    words = {column.chunk(0).dictionary.buffers()[2].address for column in columns}
    assert len(words) == 1


def test_what_batches_keep_is_shown_and_bounded() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    assert engine.stats()["batch_memory"] == 0
    pods = pa.array([{"labels": {"app": "x"}}] * 10_000)
    sizes = []
    for turn in range(30):
        # None of these was ever seen, and each is a text of its own to the glob.
        names = pa.array([f"{'ab'[number % 2]}{turn}-{number}" for number in range(10_000)])
        table = pa.RecordBatch.from_arrays(
            [pa.StructArray.from_arrays([names], ["name"]), pods], names=["cluster", "pod"]
        )
        assert engine.evaluate_batch(table).table.num_rows == 5_000
        sizes.append(engine.stats()["batch_memory"])
    assert 0 < sizes[0] <= max(sizes[5:]) < 2_000_000
    assert len(set(sizes[15:])) == 1


def test_damaged_memory_crashes_nothing() -> None:
    program = Path(__file__).with_name("damaged_batches.py")
    done = subprocess.run(
        [sys.executable, program, "0", "2000"], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    # Some batches, some rows, and by no means all.
    refused, rows_refused, plans = map(int, done.stdout.split())
    assert refused > 100
    assert rows_refused > 1_000
    assert plans > 10_000


def test_a_row_that_is_no_text_hides_no_later_plan() -> None:
    names = pa.array([b"a", b"\xff", b"a"]).view(TEXT)
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    cluster = pa.StructArray.from_arrays([pa.array(["a"] * 3)], ["name"])
    result = engine.evaluate_batch(pa.table({"cluster": cluster, "id": names}))
    plans = iter(result)
    assert next(plans).event == "a"
    with pytest.raises(spyderresp.EventError, match="row 1: a text is not valid UTF-8"):
        next(plans)
    assert next(plans).event == "a"
    assert list(plans) == []


@pytest.mark.parametrize("name", ["id", "time", "policy_uid", "policy_name", "cluster", "machine", "service"])
def test_two_columns_of_one_name_are_refused(name: str) -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    column = pa.array([None], pa.struct([("name", TEXT)]) if name in s.SCOPES else TEXT)
    batch = pa.RecordBatch.from_arrays([column, column], [name, name])
    with pytest.raises(spyderresp.EventError, match=f"{name}: stands twice among the columns"):
        engine.evaluate_batch(batch)


def test_two_fields_of_a_target_of_one_name_are_refused() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([POLICY]))
    process = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["pid", "pid"])
    with pytest.raises(spyderresp.EventError, match=r"process\.pid: stands twice among the fields"):
        engine.evaluate_batch(pa.RecordBatch.from_arrays([process], ["process"]))


def test_string_views_of_a_slice_with_nulls() -> None:
    texts = ["x", None, "a", None, "a text too long to be inline", "a"]
    spec = {"mode": "enforce", "clusterSelector": {"name": "a"}, "response": {"default": [{"agentKillPod": None}]}}
    engine = spyderresp.Engine(spyderresp.from_documents([{**POLICY, "spec": spec}]))
    for start in range(6):
        names = pa.array(texts, pa.string_view()).slice(start)
        batch = pa.RecordBatch.from_arrays([pa.StructArray.from_arrays([names], ["name"])], ["cluster"])
        found = [plan.target["cluster.name"] for plan in engine.evaluate_batch(batch) if plan]
        assert found == ["a"] * texts[start:].count("a")
