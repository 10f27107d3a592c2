"""The worked cases: every one through every entry point, and through the oracle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from plans import core

import spyderresp
from spyderresp.decision import reference

ENTRY_POINTS = {
    "evaluate": lambda engine, event: engine.evaluate(event),
    "evaluate_many": lambda engine, event: engine.evaluate_many([event])[0],
    "evaluate_json": lambda engine, event: engine.evaluate_json(json.dumps(event).encode()),
    "evaluate_jsonl": lambda engine, event: engine.evaluate_jsonl(json.dumps(event) + "\n")[0],
    "explain": lambda engine, event: engine.explain(event).plan,
}


def policy_sets(
    conformance: list[Path], tmp_path: Path
) -> list[tuple[str, spyderresp.PolicySet, list[dict[str, Any]]]]:
    sets = []
    for path in conformance:
        document = json.loads(path.read_text())
        directory = tmp_path / path.stem
        directory.mkdir()
        for number, text in enumerate(document["policies"]):
            (directory / f"{number:05}.yaml").write_text(text)
        sets.append((path.name, spyderresp.load(directory), document["cases"]))
    return sets


def test_there_are_660_cases(conformance: list[Path], tmp_path: Path) -> None:
    assert sum(len(cases) for _, _, cases in policy_sets(conformance, tmp_path)) == 660


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_every_case(conformance: list[Path], tmp_path: Path, entry: str) -> None:
    for name, policies, cases in policy_sets(conformance, tmp_path):
        for case in cases:
            options = {key: case[key] for key in ("defaults", "not_in") if key in case}
            engine = spyderresp.Engine(policies, **options)
            if "error" in case:
                with pytest.raises(spyderresp.EventError) as caught:
                    ENTRY_POINTS[entry](engine, case["event"])
                assert caught.value.path == case["error"], (name, case["event"])
            else:
                plan = ENTRY_POINTS[entry](engine, case["event"])
                assert core(plan.to_dict()) == case["plan"], (name, case["event"])


def test_the_oracle_agrees(conformance: list[Path], tmp_path: Path) -> None:
    for name, policies, cases in policy_sets(conformance, tmp_path):
        for case in cases:
            options = reference.Options(**{key: case[key] for key in ("defaults", "not_in") if key in case})
            if "error" in case:
                with pytest.raises(spyderresp.EventError) as caught:
                    reference.evaluate(policies, case["event"], options)
                assert caught.value.path == case["error"], (name, case["event"])
            else:
                assert reference.evaluate(policies, case["event"], options) == case["plan"], (name, case["event"])
