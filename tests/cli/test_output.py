"""What people read, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import spyderresp
from spyderresp.policies.json_schema import policy_schema

PLAN = ("plan", "--policies", "policies")
EXPLAIN = ("explain", "--policies", "policies")


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("check-mixed", ["check", "mixed.yaml"], 2),
        ("check-warned", ["check", "warned.yaml"], 1),
        ("check-strict", ["check", "--strict", "warned.yaml"], 2),
        ("check-noted", ["check", "noted.yaml"], 0),
        ("check-good", ["check", "policies", "good.yaml"], 0),
        ("check-missing", ["check", "gone.yaml", "good.yaml"], 2),
        ("check-github", ["check", "--format", "github", "mixed.yaml"], 2),
        ("check-json", ["check", "--format", "json", "warned.yaml"], 1),
        ("check-json-unreadable", ["check", "--format", "json", "gone.yaml"], 2),
        ("plan-text", [*PLAN, "--format", "text", "events.jsonl"], 0),
        ("plan-json", [*PLAN, "events.jsonl"], 0),
        ("plan-audit", [*PLAN, "--mode", "audit", "--format", "text", "events.jsonl"], 0),
    ],
)
def test_output(run, expect, name, arguments, code):
    result = run(*arguments)
    assert (result.code, result.err) == (code, "")
    expect(name, result.out)


@pytest.mark.parametrize(("name", "number"), [("fired", 0), ("not-applicable", 2), ("unknown", 3), ("excused", 5)])
def test_explain(run, expect, name, number):
    line = Path("events.jsonl").read_text().splitlines()[number]
    result = run(*EXPLAIN, stdin=line)
    assert (result.code, result.err) == (0, "")
    expect(f"explain-{name}", result.out)


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("plan-unreadable", ["plan", "--policies", "mixed.yaml", "events.jsonl"], 2),
        ("plan-warned", ["plan", "--policies", "warned.yaml", "--policies", "noted.yaml"], 0),
        ("usage-verb", ["paln"], 3),
        ("usage-option", ["plan", "--polices", "policies"], 3),
        ("usage-choice", ["check", "--format", "sariv", "good.yaml"], 3),
        ("usage-form", [*PLAN, "--form", "tetragn"], 3),
        ("usage-policy", [*EXPLAIN, "--policy", "trail"], 3),
        ("input-missing", [*PLAN, "gone.jsonl"], 3),
        ("input-directory", [*PLAN, "policies"], 3),
    ],
)
def test_complaints(run, expect, name, arguments, code):
    result = run(*arguments)
    assert (result.code, result.out) == (code, "")
    expect(name, result.err)


BAD = b"""\
{"id": "one"}
{"id": "cut"
[1]
nonsense
{"id": "two", "process": {"exe": 7}}
{"id": "\xff"}
{"id": "\xed\xa0\x80"}
{"id": NaN}
{"schema": "model_session::1", "id": "x"}
{"id": "three"}\r

   \t
{"id": "a"} {"id": "b"}
{\x00"id": "c"}
{"id": "four"}"""


def test_bad_events_are_named_and_all_others_planned(run, expect):
    result = run(*PLAN, stdin=BAD)
    assert result.code == 1
    plans = [json.loads(line) for line in result.out.splitlines()]
    assert [(plan["event"], plan["line"]) for plan in plans] == [("one", 1), ("three", 10), ("four", 15)]
    named = [line.split(":")[1] for line in result.err.splitlines()]
    assert named == ["2", "3", "4", "5", "6", "7", "8", "9", "13", "14"]
    assert "<stdin>:5: error: process.exe: must be a text or null\n" in result.err
    assert "<stdin>:6: error: not valid UTF-8: byte 0xff at column 9\n" in result.err
    assert "<stdin>:7: error: not valid UTF-8: byte 0xed at column 9\n" in result.err


@pytest.mark.parametrize("depth", [100, 900, 960, 970, 975, 980, 985, 990, 995, 1_000, 100_000])
def test_an_id_of_any_depth_is_planned_or_refused(program, depth):
    """At some depth the decoder takes it and the encoder does not."""
    line = b'{"id":' + b"[" * depth + b"]" * depth + b"}\n"
    for verb, form in (("plan", "json"), ("plan", "text"), ("explain", "json"), ("explain", "text")):
        result = program(verb, "--policies", "policies", "--format", form, stdin=line)
        assert result.code in (0, 1), result.err
        assert (result.code == 1) == (result.err != "")
        assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no event: the input is empty"),
        (" \n", "there is no event: the input is empty"),
        ("{}\n{}\n", "more than one JSON value; `explain` takes one event, `plan` takes many"),
        ('{"process": 1}', "process: "),
        ("[]", "the record must be a mapping, not a list"),
    ],
)
def test_explain_names_what_is_wrong_with_its_event(run, text, said):
    result = run(*EXPLAIN, stdin=text)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"<stdin>: error: {said}")
    assert result.err.count("\n") == 1


def test_explain_takes_an_event_over_many_lines(run):
    event = json.dumps(json.loads(Path("events.jsonl").read_text().splitlines()[0]), indent=2)
    Path("event.json").write_text(event)
    result = run(*EXPLAIN, "--format", "json", "event.json")
    said = json.loads(result.out)
    engine = spyderresp.Engine(spyderresp.load("policies"))
    assert said == json.loads(json.dumps(engine.explain(json.loads(event)).to_dict()))
    assert result.out.isascii()


def test_explain_one_policy(run):
    line = Path("events.jsonl").read_text().splitlines()[0]
    said = json.loads(run(*EXPLAIN, "--policy", "quiet", "--format", "json", stdin=line).out)
    assert [policy["policy"] for policy in said["policies"]] == ["quiet"]
    assert said["plan"]["actions"]
    text = run(*EXPLAIN, "--policy", "quiet", stdin=line).out
    assert "+ quiet (audit)" in text
    assert "+ production" not in text


def test_plans_are_those_of_the_engine(run):
    """The command line adds the line, last, and nothing else."""
    result = run(*PLAN, "--defaults", "unless-overridden", "--not-in", "documented", "events.jsonl")
    engine = spyderresp.Engine(spyderresp.load("policies"), defaults="unless-overridden", not_in="documented")
    lines = Path("events.jsonl").read_text().splitlines()
    wanted = [
        engine.evaluate_json(line).to_json()[:-1] + f',"line":{number}}}'
        for number, line in enumerate(lines, 1)
        if line
    ]
    assert result.out.splitlines() == wanted


def test_a_form_by_name_and_by_shape(run):
    alert = '{"uuid": "f1", "hostname": "n", "output_fields": {"proc.name": "bash", "proc.exepath": "/bin/bash"}}'
    for form in ([], ["--form", "falco"]):
        plan = json.loads(run(*PLAN, *form, stdin=alert).out)
        assert plan["event"] == "f1"
    result = run(*PLAN, "--form", "guardian-deviation", stdin=alert)
    assert result.code == 1
    assert result.err.startswith("<stdin>:1: error: ")


def test_schema(run):
    result = run("schema")
    assert (result.code, result.err) == (0, "")
    assert result.out == json.dumps(policy_schema(), indent=2) + "\n"


def test_version(run):
    result = run("--version")
    assert (result.code, result.out, result.err) == (0, f"spyderresp {spyderresp.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "-h"], ["plan", "-h"], ["explain", "-h"], ["schema", "-h"]]
)
def test_help(run, arguments):
    result = run(*arguments)
    assert (result.code, result.err) == (0, "")
    assert "examples:" in result.out


def test_no_verb_is_helped(run):
    result = run()
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith("usage: spyderresp")
