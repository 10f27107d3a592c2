"""The same policies and event give the same bytes: in any process, under any hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_plans_under_different_hash_seeds(tmp_path: Path) -> None:
    outputs = set()
    for seed in ("0", "1", "4242"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        for module in ("plan", "explain"):
            events = EXAMPLES / "events.jsonl"
            if module == "explain":
                events = tmp_path / "event.json"
                events.write_text((EXAMPLES / "events.jsonl").read_text().splitlines()[0])
            command = [
                sys.executable,
                "-m",
                "spyderresp",
                module,
                "--policies",
                str(EXAMPLES / "policies"),
                str(events),
            ]
            done = subprocess.run(command, capture_output=True, check=True, env=environment, cwd=tmp_path)
            outputs.add((module, done.stdout))
    assert len(outputs) == 2


PROGRAM = """
import json, sys
import spyderresp
policies = spyderresp.load(sys.argv[1])
lines = open(sys.argv[2], "rb").read()
events = [json.loads(line) for line in lines.splitlines()]
engine = spyderresp.Engine(policies)
again = spyderresp.Engine(policies)
again.evaluate_many(events)
print(policies.digest)
ways = [
    [engine.evaluate(event) for event in events],
    [engine.evaluate(event) for event in events],
    again.evaluate_many(events),
    [again.evaluate(event) for event in reversed(events)][::-1],
    [spyderresp.Engine(policies).evaluate_json(json.dumps(event)) for event in events],
    spyderresp.Engine(policies).evaluate_jsonl(lines),
    [spyderresp.Engine(policies).explain(event).plan for event in events],
]
for plans in ways:
    assert [plan.to_json() for plan in plans] == [plan.to_json() for plan in ways[0]]
    assert plans == ways[0]
for plan in ways[0]:
    print(plan.to_json())
print(json.dumps([engine.explain(event).to_dict() for event in events]))
stats = engine.stats()
print(json.dumps({key: stats[key] for key in ("attributes", "predicates", "selectors", "exact_values", "globs")}))
"""


def test_every_entry_point_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    """Whatever was decided before, too: the memos of one engine are warm, those of another cold."""
    outputs = []
    for seed in ("0", "1", "2", "3"):
        command = [sys.executable, "-c", PROGRAM, str(EXAMPLES / "policies"), str(EXAMPLES / "events.jsonl")]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(command, capture_output=True, check=True, env=environment, cwd=tmp_path, timeout=480)
        outputs.append(done.stdout)
    assert outputs[0]
    assert len(set(outputs)) == 1


def test_errors_are_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    program = """
import spyderresp
try:
    spec = {"clusterSelector": {"nmae": "a"}, "respons": {}, "mode": "enforced", "x": [], "podSelector": {}}
    document = {"apiVersion": "spyderbat/v1", "kind": "SpyderbatPolicy", "metadata": {"type": "clutser"}, "spec": spec}
    spyderresp.from_documents([document])
except spyderresp.PolicyError as error:
    print(*map(repr, error.diagnostics), sep="\\n")
document = {"apiVersion": "spyderbat/v1", "kind": "SpyderbatPolicy", "metadata": {"name": "a", "type": "cluster"},
    "spec": {"mode": "audit", "clusterSelector": {"name": "a", "uid": "b"},
    "machineSelector": {"uid": "a", "hostname": "h"}, "podSelector": {"matchLabels": {"c": "d", "a": "b"}}}}
engine = spyderresp.Engine(spyderresp.from_documents([document]))
for event in ({"pod": {"labels": {"a": 1, "c": 2}}},
    {"machine": {"uid": 1, "hostname": 2}, "cluster": {"uid": 3, "name": 4}}):
    try:
        engine.evaluate(event)
    except spyderresp.EventError as error:
        print(error)
"""
    outputs = set()
    for seed in ("0", "1", "2", "3"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, check=True, env=environment, cwd=tmp_path, timeout=480)
        outputs.add(done.stdout)
    (output,) = outputs
    assert output.decode().splitlines()[-2:] == [
        "pod.labels.a: must be a text or null",
        "cluster.name: must be a text or null",
    ]
