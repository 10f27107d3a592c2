"""The exit codes that scripts rely on: 0 fine, 1 findings, 2 a policy cannot be read, 3 wrong usage."""

from __future__ import annotations

import os

import pytest

CHECKS = [
    ("good.yaml", [], 0),
    ("noted.yaml", [], 0),
    ("noted.yaml", ["--strict"], 0),
    ("noted.yaml", ["--fail-on", "error"], 0),
    ("warned.yaml", [], 1),
    ("warned.yaml", ["--fail-on", "warning"], 1),
    ("warned.yaml", ["--fail-on", "error"], 0),
    ("warned.yaml", ["--strict"], 2),
    ("warned.yaml", ["--strict", "--fail-on", "error"], 2),
    ("mixed.yaml", [], 2),
    ("mixed.yaml", ["--fail-on", "error"], 2),
    ("gone.yaml", [], 2),
]


@pytest.mark.parametrize("form", ["text", "json", "github"])
@pytest.mark.parametrize(("path", "options", "code"), CHECKS)
def test_check(run, path, options, code, form):
    assert run("check", *options, "--format", form, path).code == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--policies", "policies"], 0),
        (["--policies", "warned.yaml"], 0),
        (["--policies", "noted.yaml"], 0),
        (["--policies", "warned.yaml", "--strict"], 2),
        (["--policies", "mixed.yaml"], 2),
        (["--policies", "gone.yaml"], 2),
        (["--policies", "policies", "--policies", "gone.yaml"], 2),
        (["--policies", "policies", "gone.jsonl"], 3),
        (["--policies", "policies", "--mode", "enforce"], 3),
        (["--policies", "policies", "--form", "syslog"], 3),
        (["--policies", "policies", "one", "two"], 3),
        (["--policies"], 3),
        ([], 3),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "explain"])
def test_verbs_that_decide(run, verb, arguments, code):
    assert run(verb, *arguments, stdin='{"id": "x"}').code == code
    if code == 0:
        assert run(verb, *arguments, stdin='{"id": ').code == 1


def test_plan_on_nothing(run):
    result = run("plan", "--policies", "policies", stdin="\n\n")
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize(
    "arguments",
    [[], ["chekc"], ["check"], ["check", "--format", "xml", "good.yaml"], ["check", "--quiet"], ["--verbose"],
     ["check", "--fail", "error", "good.yaml"], ["schema", "more"], ["check", "-x", "good.yaml"], [""]],
)  # fmt: skip
def test_wrong_usage(run, arguments):
    result = run(*arguments)
    assert (result.code, result.out) == (3, "")


def test_options_may_stand_among_the_paths(run):
    result = run("check", "good.yaml", "--format", "text", "noted.yaml", "--strict", "policies")
    assert "\nchecked 6 policies: 1 warning" in result.out


def test_the_program_exits_with_what_main_returns(program):
    assert program("check", "good.yaml").code == 0
    assert program("check", "warned.yaml").code == 1
    assert program("check", "mixed.yaml").code == 2
    assert program("chekc").code == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
def test_an_input_that_may_not_be_read(run, place):
    (place / "events.jsonl").chmod(0)
    result = run("plan", "--policies", "policies", "events.jsonl")
    assert (result.code, result.err) == (3, "spyderresp: events.jsonl: permission denied\n")
