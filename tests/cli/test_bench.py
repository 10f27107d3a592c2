"""``bench`` measures: what it counts is exact, and of what it clocks only that it is there."""

from __future__ import annotations

import json
import re

import pytest

FAST = ["--seconds", "0.01", "--policies", "policies"]


def test_counts_are_exact(run):
    result = run("bench", *FAST, "--format", "json", "events.jsonl")
    assert (result.code, result.err) == (0, "")
    report = json.loads(result.out)
    plans = [json.loads(line) for line in run("plan", "--policies", "policies", "events.jsonl").out.splitlines()]
    assert report["policies"] == 4
    assert report["policy_set"] == plans[0]["policy_set"]
    assert report["events"] == {
        "events": len(plans),
        "acted": sum(bool(plan["actions"]) for plan in plans),
        "actions": sum(len(plan["actions"]) for plan in plans),
        "in_scope": sum(len(plan["policies"]) for plan in plans),
        "bad": 0,
    }
    assert report["stats"]["policies"] == 4
    assert all(0 <= rate <= 1 for rate in report["hit_rates"].values())
    for way in ("evaluate", "evaluate_json"):
        assert report[way]["cpu_ns"] > 0
        assert report[way]["events"] >= len(plans)
    assert 0 < report["evaluate"]["median_ns"] <= report["evaluate"]["p99_ns"]
    assert report["load"]["cpu_seconds"] > 0
    assert report["evaluate_batch"]["cpu_ns"] > 0


def test_text(run):
    result = run("bench", *FAST, "events.jsonl")
    assert result.code == 0
    labels = [line[:16].strip() for line in result.out.splitlines()]
    assert labels == [
        "policies",
        "load",
        "compile",
        "events",
        "an event has",
        "evaluate",
        "evaluate_json",
        "evaluate_batch",
        "answered from",
    ]
    assert re.search(r"^evaluate +[0-9.]+ us an event; on the clock [0-9.]+ us, 99 % within", result.out, re.MULTILINE)


def test_bad_events_are_named_and_the_others_measured(run):
    result = run("bench", *FAST, "-", stdin='{"id": "x"}\n[]\n{"pod": 3}\n')
    assert result.code == 1
    assert result.err.splitlines()[0].startswith("<stdin>:2: error: ")
    assert result.err.splitlines()[1].startswith("<stdin>:3: error: pod: ")
    assert "1, and 2 bad" in result.out


def test_records_of_another_form(run):
    alert = {"uuid": "u", "hostname": "n", "output": "o", "priority": "Warning", "rule": "r", "source": "syscall",
             "time": "2026-11-24T01:02:03Z", "output_fields": {"proc.name": "bash"}}  # fmt: skip
    result = run("bench", *FAST, "--form", "falco", "--format", "json", "-", stdin=json.dumps(alert))
    assert (result.code, json.loads(result.out)["events"]["events"]) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--policies", "policies"], 3),
        (["--policies", "policies", "gone.jsonl"], 3),
        (["--policies", "gone.yaml", "events.jsonl"], 2),
        (["--policies", "mixed.yaml", "events.jsonl"], 2),
        (["--policies", "policies", "--seconds", "0", "events.jsonl"], 3),
        (["--policies", "policies", "--seconds", "soon", "events.jsonl"], 3),
        (["--policies", "policies", "--seconds", "inf", "events.jsonl"], 3),
        (["--policies", "policies", "--form", "syslog", "events.jsonl"], 3),
        ([], 3),
    ],
)
def test_exit_codes(run, arguments, code):
    result = run("bench", *arguments)
    assert (result.code, result.out) == (code, "")


def test_nothing_to_measure(run):
    result = run("bench", *FAST, "-", stdin="\n")
    assert (result.code, result.out, result.err) == (3, "", "spyderresp bench: <stdin>: no event to measure\n")
