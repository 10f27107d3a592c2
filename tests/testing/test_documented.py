"""docs/TESTING.md: every example is run, and what it shows is real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spyderresp.authoring.testing import find, suite_files
from spyderresp.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/TESTING.md").read_text("utf-8")
GOOD = re.findall(r"```yaml test\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", GOOD)
def test_an_example_passes(tested, text):
    report = tested("apiVersion" + text.partition("apiVersion")[2])
    assert report.results
    assert [result.problems for result in report.results] == [()] * len(report.results)


def test_what_a_failure_looks_like(place, capsys):
    (failing,) = re.findall(r"```yaml failing\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```text\n\$ spyderresp test tests/\n(.*?)```", PAGE, re.DOTALL)
    Path("tests/production.yaml").write_text(failing)
    assert main(["test", "tests/"]) == 1
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(
    "keys",
    [suite_files.KEYS, suite_files.TEST_KEYS, suite_files.EXPECT_KEYS, suite_files.ACTION_KEYS],
    ids=["document", "test", "expect", "action"],
)
def test_every_key_is_documented(keys):
    for key in keys:
        assert re.search(rf"^\|.*`{key}[`:]", PAGE, re.MULTILINE), key


def test_the_examples_of_the_project_pass_and_cover_their_policies(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert find(["examples/tests"]).files
    assert main(["test", "examples/tests", "--min-coverage", "100"]) == 0
    assert "failed" not in capsys.readouterr().out
