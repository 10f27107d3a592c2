"""docs/CLI.md shows real output, and names every verb and option."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/CLI.md").read_text("utf-8")


def lines(text: str) -> set[str]:
    return set(text.splitlines())


@pytest.mark.parametrize(
    ("heading", "arguments", "number"),
    [("plan", ["plan", "--format", "text"], 5), ("explain", ["explain", "--policy", "web-containers"], 1)],
)
def test_shown_output_is_real(run, monkeypatch, heading, arguments, number):
    monkeypatch.chdir(ROOT)
    events = (ROOT / "examples/events.jsonl").read_text().splitlines()
    stdin = "\n" * (number - 1) + events[number - 1]
    result = run(*arguments, "--policies", "examples/policies", stdin=stdin)
    assert result.code == 0
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    shown = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    assert len(shown) == 1
    assert {line for line in lines(shown[0]) if not line.startswith(("$", "..."))} <= lines(result.out)


def test_shown_output_of_run_is_real(run, monkeypatch):
    monkeypatch.chdir(ROOT)
    result = run("run", "--policies", "examples/policies", "--events", "examples/events.jsonl")
    assert result.code == 0
    assert [json.loads(line)["id"] for line in result.out.splitlines()]
    shown = PAGE.split("\n## run\n")[1].split("```text\n")[1].split("```")[0]
    assert {line for line in lines(shown) if not line.startswith(("$", "..."))} <= lines(result.err)


def test_every_verb_and_option_is_documented(run):
    verbs = re.findall(r"^    ([a-z-]+)(?:\s|$)", run("--help").out, re.MULTILINE)
    assert len(verbs) == len(set(verbs)) > 10
    for verb in verbs:
        section = PAGE.split(f"\n## {verb}\n")[1].split("\n## ")[0]
        if verb == "explain":  # "the same options"
            section += PAGE.split("\n## plan\n")[1].split("\n## ")[0]
        for line in re.findall(r"^  (-.+?)(?:  |$)", run(verb, "--help").out, re.MULTILINE):
            for option in (words.split()[0] for words in line.split(", ")):
                assert option in ("-h", "--help") or f"`{option}" in section, option


def test_documented_check_is_real(run):
    Path("policies").joinpath("production.yaml").unlink()
    Path("policies").joinpath("trial.yaml").unlink()
    document = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata:
  name: demo
  type: cluster
spec:
  mode: audit
  clusterSelector:
    matchFields:
      name: demo
  response:
    default:
    - agentReniceProcess:
        priority: "40"
"""
    Path("policies/demo.yaml").write_text(document)
    shown = PAGE.split("$ spyderresp check policies/\n")[1].split("```")[0]
    assert run("check", "policies/").out == shown


@pytest.mark.parametrize(
    ("heading", "arguments"),
    [("analyze", ["analyze", "examples/policies"]), ("test", ["test", "examples/tests", "--coverage"])],
)
def test_shown_output_is_all_of_it(run, monkeypatch, heading, arguments):
    monkeypatch.chdir(ROOT)
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (shown,) = re.findall(r"```text\n\$ .*?\n(.*?)```", section, re.DOTALL)
    assert run(*arguments).out == shown
