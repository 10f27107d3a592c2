"""Decisions by ``mapInArrow``, on Spark Connect: ``pysail``'s server. The JVM's is tests/integrations/jvm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import spark_cases as cases

import spyderresp

pytest.importorskip("pyspark.sql.connect")
spark = pytest.importorskip("spyderresp.distributed.spark")
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning"
)


def frame(session: Any, said: list[dict[str, Any]], folder: Path) -> Any:
    cases.write(said, folder / "events.jsonl")
    return session.read.schema(cases.SCHEMA).json(str(folder / "events.jsonl"))


def test_actions_are_those_of_evaluate(connect: Any, tmp_path: Path) -> None:
    said = cases.events(2_000)
    engine = spyderresp.Engine(cases.policies())
    rows = spark.decide(frame(connect, said, tmp_path).repartition(3), engine.policies).collect()
    assert cases.found(rows) == cases.wanted(engine, said)
    assert len(rows) > len(said)
    assert {row["disposition"] for row in rows} >= {"execute", "not_applicable"}


def test_plans_are_nested_and_columns_kept(connect: Any, tmp_path: Path) -> None:
    said = cases.events(100)
    engine = spyderresp.Engine(cases.policies(), mode="audit")
    events = frame(connect, said, tmp_path)
    decided = spark.decide(events, engine.policies, explode=False, keep=["id", "pod"], mode="audit")
    assert decided.columns == ["id", "pod", "actions", "error"]
    rows = {row["id"]: row for row in decided.collect()}
    assert len(rows) == len(said)
    for event in said:
        actions = [(action["action"], action["disposition"]) for action in rows[event["id"]]["actions"]]
        assert actions == [(action.name, action.disposition) for action in engine.evaluate(event)]
        pod = rows[event["id"]]["pod"]
        assert (pod is None) == (event["pod"] is None)
        assert pod is None or pod["name"] == event["pod"].get("name")
        assert {action["place"] for action in rows[event["id"]]["actions"]} == set(range(len(actions)))
        assert all(
            action["parameters"]["content"] == f"é {action['policy'][1:]}"
            for action in rows[event["id"]]["actions"]
            if action["action"] == "makeRedFlag"
        )


def test_what_is_wrong_with_a_frame_is_said_before_anything_runs(connect: Any) -> None:
    events = connect.createDataFrame([("e0", 1)], "id string, cluster int")
    with pytest.raises(spyderresp.EventError, match="cluster: must be a column of structs"):
        spark.decide(events, cases.policies())
    with pytest.raises(ValueError, match="no column `pid`"):
        spark.decide(events, cases.policies(), keep=["pid"])
