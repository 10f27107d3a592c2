"""``spyderresp test`` as its user sees it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from junitparser import JUnitXml

from spyderresp.cli.options import file_states, watched

HEAD = "apiVersion: spyderresp/v1\nkind: ResponseTest\nname: s\npolicies: ../policies\n"
GOOD = (
    HEAD
    + "tests:\n- name: flagged\n  event: {cluster: {name: prod-1}}\n"
    + "  expect: {plan: contains, actions: [makeRedFlag]}\n"
)
BAD = GOOD.replace("[makeRedFlag]", "[agentKillPod]").replace("flagged", "killed")


@pytest.fixture
def tests(place):
    """Write test files, each by its name."""
    Path("tests").mkdir()

    def tests(**texts: str) -> None:
        for name, text in texts.items():
            # Written beside, and put there at once: one that watches must not find half of it.
            Path(f"{name}.new").write_text(text, "utf-8")
            Path(f"{name}.new").replace(f"tests/{name}.yaml")

    return tests


def test_exit_codes(run, tests):
    tests(good=GOOD)
    assert (run("test", "tests").code, run("test", "tests/good.yaml").out) == (0, "1 test: 1 passed\n")
    tests(bad=BAD)
    assert run("test", "tests").code == 1
    assert run("test", "tests", "-k", "FLAG").code == 0
    assert run("test", "tests", "-k", "bad.yaml", "--filter", "good.yaml").out.endswith("2 tests: 1 passed, 1 failed\n")
    tests(unread=GOOD.replace("../policies", "../gone"))
    result = run("test", "tests")
    assert result.code == 2
    assert result.out.endswith("3 tests: 1 passed, 1 failed, 1 not run\n")
    assert "gone: error[SR001]: no such file or directory" in result.err
    tests(broken=GOOD.replace("expect", "expects"), unread="")
    result = run("test", "tests")
    assert result.code == 2
    assert "tests/broken.yaml:8:3: error[SR701]: unknown key `expects` in a test" in result.err
    assert "    | ^^^^^^^\n" not in result.out
    assert result.out.endswith("2 tests: 1 passed, 1 failed\n")
    assert run("test", "nowhere").code == 2


def test_nothing_to_run(run, tests):
    tests(good=GOOD)
    assert run("test", "policies").err == (
        "spyderresp test: error: no test found in `policies`: no document has `kind: ResponseTest`\n"
    )
    assert run("test", "policies", "tests").code == 3
    result = run("test", "tests", "-k", "flogged", "-k", "x\x1b")
    assert (result.code, result.err) == (
        3,
        "spyderresp test: error: no test has `flogged` or `x\\x1b` in its name\n",
    )
    assert run("test").code == 3
    assert run("test", "tests", "--min-coverage", "101").code == 3
    assert run("test", "tests", "--junit", "no/such/place.xml").code == 3


def test_policies_load_beside_tests(run, tests):
    Path("policies/t.yaml").write_text(GOOD.replace("../policies", "."))
    assert run("test", "policies").code == 0
    assert run("check", "policies", "--fail-on", "error").code == 0


def test_verbose(run, tests):
    tests(good=GOOD)
    assert run("test", "tests", "--verbose").out == "passed tests/good.yaml:6:3: s: flagged\n1 test: 1 passed\n"


def test_a_failure(run, tests):
    tests(bad=BAD)
    assert (
        run("test", "tests").out
        == """\
FAILED tests/bad.yaml:6:3: s: killed
  event {"cluster": {"name": "prod-1"}}
  1 action expected: 1 missing (tests/bad.yaml:8:11)
    - agentKillPod  <- expected, not planned
        production, actions[1] did not fire: the event has no object for podSelector (policies/production.yaml:21:7)
      execute makeRedFlag severity=high
      not_applicable agentReniceProcess priority=5

1 test: 1 failed
"""
    )


def test_too_little_covered(run, tests):
    tests(good=GOOD)
    assert run("test", "tests", "--min-coverage", "1").code == 0
    result = run("test", "tests", "--min-coverage", "90%")
    assert result.code == 1
    assert result.err == "spyderresp test: 22.2 % is covered, less than the 90 % of `--min-coverage`\n"
    assert "policies/trial.yaml:1: never in scope: trial\n" in result.out
    assert "asleep" not in result.out


def test_json(run, tests):
    tests(good=GOOD, bad=BAD)
    result = run("test", "tests", "--format", "json", "--coverage")
    assert result.code == 1
    said = json.loads(result.out)
    assert [said[key] for key in ("version", "passed", "failed", "errors", "diagnostics")] == [1, 1, 1, 0, []]
    bad, good = said["tests"]
    assert good == {
        "suite": "s", "name": "flagged", "status": "passed",
        "path": "tests/good.yaml", "line": 6, "column": 3, "problems": [],
    }  # fmt: skip
    (problem,) = bad["problems"]
    assert (problem["kind"], problem["line"]) == ("actions", 8)
    first = problem["actions"][0]
    assert (first["expected"], first["got"], first["agrees"]) == ({"action": "agentKillPod"}, None, False)
    assert first["reasons"][0]["entry"] == "production, actions[1]"
    assert said["coverage"]["policies"] == {"covered": 2, "total": 3}
    assert {place["missing"] for place in said["coverage"]["uncovered"]} >= {"never in scope", "never fired"}
    tests(broken=GOOD.replace("expect", "expects"))
    said = json.loads(run("test", "tests", "--format", "json").out)
    assert [item["code"] for item in said["diagnostics"]] == ["SR702", "SR701"]


EVIL = 'x\x1b[31m\x00\ufffe]]>&<"\u202e'


def test_junit(run, tests):
    shown = json.dumps(EVIL)
    tests(good=GOOD, bad=BAD.replace("killed", shown).replace("name: s", f"name: {shown}"))
    tests(unread=GOOD.replace("../policies", "../gone"), broken=GOOD.replace("expect", "expects"))
    result = run("test", "tests", "--junit", "report.xml")
    assert result.code == 2
    assert "\x1b" not in result.out
    assert "\u202e" not in result.out
    root = ET.parse("report.xml").getroot()
    check_shape(root)
    assert [root.get(key) for key in ("tests", "failures", "errors")] == ["4", "1", "2"]
    assert [suite.get("name") for suite in root] == ['x[31m]]>&<"\u202e', "s", "s", "tests/broken.yaml"]
    failure = root[0][0][0]
    assert failure.get("message") == "1 action expected: 1 missing"
    assert "- agentKillPod  <- expected, not planned" in failure.text
    read = JUnitXml.fromfile("report.xml")
    assert (read.tests, read.failures, read.errors, read.skipped) == (4, 1, 2, 0)
    assert [case.is_passed for suite in read for case in suite] == [False, True, False, False]


def check_shape(root: ET.Element) -> None:
    """Hold a report against the shape that its readers share: what Jenkins's schema (junit-10.xsd) allows and needs."""
    assert root.tag == "testsuites"
    assert set(root.keys()) <= {"name", "time", "tests", "failures", "errors"}
    for suite in root:
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures", "errors", "time"} <= set(suite.keys())
        assert set(suite.keys()) <= {"name", "tests", "failures", "errors", "skipped", "time", "file"}
        assert int(suite.get("tests")) == len(suite)
        for tag, key in (("failure", "failures"), ("error", "errors")):
            assert int(suite.get(key)) == sum(case.find(tag) is not None for case in suite)
        for case in suite:
            assert case.tag == "testcase"
            assert {"name", "classname", "time"} <= set(case.keys())
            assert set(case.keys()) <= {"name", "classname", "time"}
            assert re.fullmatch(r"[0-9]+(\.[0-9]*)?", case.get("time"))
            assert len(case) <= 1
            for fault in case:
                assert fault.tag in ("failure", "error")
                assert set(fault.keys()) == {"message", "type"}
                assert fault.text


def test_watching_acts_again_whenever_something_changes(place):
    Path("a").mkdir()
    steps = iter([
        lambda: Path("a/new.yaml").write_text("x"),
        lambda: Path("a/other.txt").write_text("no test"),
        lambda: Path("a/new.yaml").write_text("xy"),
        lambda: os.replace("a/new.yaml", "a/newer.yaml"),
        lambda: Path("a/newer.yaml").unlink(),
        lambda: Path("late.jsonl").write_text("{}"),
    ])  # fmt: skip

    def sleep(_: float) -> None:
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    acts: list[int] = []

    def act() -> tuple[str, ...]:
        acts.append(1)
        return ("a", "late.jsonl")

    changes = watched(act, sleep=sleep)
    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(changes)
    del seen[len(acts) - 1 :]
    assert len(acts) == 6


def test_what_changes_while_the_work_is_done_is_seen(place):
    Path("a.yaml").write_text("x")

    def act() -> list[str]:
        # As if somebody had saved it in the middle.
        os.utime("a.yaml", ns=(later := time.time_ns() + 10**9, later))
        return ["a.yaml"]

    def sleep(_: float) -> None:
        raise AssertionError("waited")

    assert next(watched(act, sleep=sleep)) == "a.yaml"
    assert file_states(["gone"]) == {"gone": None}


def test_watch_ends_at_ctrl_c(start, tests):
    tests(good=GOOD)
    with start("test", "tests", "--watch") as process:
        assert process.stdout.readline() == b"1 test: 1 passed\n"
        assert process.stderr.readline() == b"waiting for a change; Ctrl-C ends\n"
        tests(bad=BAD)
        assert process.stderr.readline() == b"changed: tests/bad.yaml\n"
        assert process.stderr.readline() == b"waiting for a change; Ctrl-C ends\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (130, b"")
    assert out.endswith(b"2 tests: 1 passed, 1 failed\n")
