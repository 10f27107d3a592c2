"""Events by the million are those of the workload, and what holds other engines to this one sees every column."""

from __future__ import annotations

import pyarrow as pa
import pytest

pytest.importorskip("numpy")
from scaling import equality
from scaling.generated import GROUP, Events, generate
from workloads import synthetic

from spyderresp.distributed import Decide

WORKLOAD = synthetic(30)
MADE = Events(WORKLOAD)


def test_columns_say_what_the_templates_say() -> None:
    engine = WORKLOAD.engine()
    rows = 3_000
    result = engine.evaluate_batch(MADE.batch(2, rows))
    acted = 0
    for row in range(0, rows, 7):
        event = MADE.event(2, row, count=rows)
        wanted, found = engine.evaluate(event).to_dict(), result[row].to_dict()
        assert (found["policies"], found["actions"]) == (wanted["policies"], wanted["actions"])
        assert found["event"] == wanted["event"] == f"dev:{2 * GROUP + row}"
        acted += bool(wanted["actions"])
    assert acted > rows / 20


def test_the_same_seed_makes_the_same_events_and_another_others() -> None:
    again = Events(WORKLOAD)
    assert again.batch(1, 500).equals(MADE.batch(1, 500))
    assert not again.batch(1, 500, seed=2).equals(MADE.batch(1, 500))


def test_files_hold_as_many_events_as_asked_for(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("scaling.generated.GROUP", 100)
    monkeypatch.setattr("scaling.generated.GROUPS", 2)
    generate(WORKLOAD, tmp_path, 450)
    assert sum(batch.num_rows for batch in equality.written(tmp_path)) == 450
    decide = Decide(WORKLOAD.policies, keep=equality.KEPT)
    found = equality.digests(equality.local(decide, tmp_path))
    assert set(found) == set(range(5))


@pytest.mark.parametrize("name", ["id", "place", "parameters", "disposition", "policy", "sources", "error"])
def test_a_digest_sees_every_column_and_no_order(name: str) -> None:
    decide = Decide(WORKLOAD.policies, keep=equality.KEPT)
    rows = decide(MADE.batch(0, 200)).to_pylist()
    schema = decide.schema(MADE.schema)

    def digest(rows):
        return equality.digests([pa.RecordBatch.from_pylist(rows, schema)])

    wanted = digest(rows)
    assert digest(rows[::-1]) == wanted
    assert digest(rows[1:]) != wanted
    value = rows[5][name]
    other = {**value, "severity": "other"} if name == "parameters" else 99 if isinstance(value, int) else f"{value}x"
    assert digest([*rows[:5], {**rows[5], name: other}, *rows[6:]]) != wanted
