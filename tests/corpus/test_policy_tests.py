"""The worked cases, written down as policy tests: each holds, and none does with another case's plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import spyderresp
from spyderresp.authoring.testing import Report, find, run


def attributed(event: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    plan = spyderresp.Engine(spyderresp.from_documents([])).evaluate(event)
    if plan.attribution is None:
        return {}
    policies = [policy for text in texts for policy in spyderresp.loads(text)]
    key, value, _ = plan.attribution
    bearers = [policy for policy in policies if (policy.uid if key == "policy_uid" else policy.name) == value]
    outcome = "unknown" if not bearers else "matched" if any(policy.enabled for policy in bearers) else "disabled"
    return {"attribution": outcome}


def written(conformance: list[Path], tmp_path: Path, change: Any) -> Report:
    """Write every case as a test of its own, run all."""
    for path in conformance:
        held = json.loads(path.read_text())
        directory = tmp_path / path.stem
        directory.mkdir()
        for number, text in enumerate(held["policies"]):
            (directory / f"{number:05}.yaml").write_text(text)
        documents: dict[str, dict[str, Any]] = {}
        for number, case in enumerate(held["cases"]):
            options = {key: case[key] for key in ("defaults", "not_in") if key in case}
            document = documents.setdefault(
                json.dumps(options),
                {
                    "apiVersion": "spyderresp/v1",
                    "kind": "ResponseTest",
                    "policies": path.stem,
                    "form": "normal",
                    "tests": [],
                    **options,
                },
            )
            expect = {"error": case["error"]} if "error" in case else change(case["plan"])
            if "error" not in case and not case["plan"]["policies"]:
                # Where the event names a policy that does not decide, a test must say so.
                expect |= attributed(case["event"], held["policies"])
            document["tests"].append({"name": f"case {number}", "event": case["event"], "expect": expect})
        (tmp_path / f"{path.stem}.json").write_text(json.dumps(list(documents.values())))
    found = find(sorted(tmp_path.glob("*.json")))
    assert not found.diagnostics
    return run(found.suites)


def test_every_case_holds(conformance: list[Path], tmp_path: Path) -> None:
    report = written(conformance, tmp_path, dict)
    assert len(report.results) == 660
    assert [(result.case.name, result.problems) for result in report.results if result.problems] == []


def test_no_case_holds_with_an_action_more(conformance: list[Path], tmp_path: Path) -> None:
    more = {"action": "agentKillPod", "disposition": "execute", "reason": "made up"}
    report = written(conformance, tmp_path, lambda plan: {**plan, "actions": [*plan["actions"], more]})
    passed = [result for result in report.results if result.status == "passed"]
    assert all(result.case.expect.error is not None for result in passed)
    assert len(passed) == 38
