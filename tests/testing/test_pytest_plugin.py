"""pytest collects policy tests, and nothing else, and imports nothing for those who have none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

import pytest

import spyderresp

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
HEAD = "apiVersion: spyderresp/v1\nkind: ResponseTest\nname: s\npolicies: ../policies\n"
GOOD = HEAD + "tests:\n- name: flagged\n  event: {cluster: {name: prod-east}}\n  expect: [makeRedFlag]\n"
TABLE = GOOD + "  rows: [{name: one}, {name: two, with: {cluster: {name: x}}, expect: []}, {name: three}]\n"


@pytest.fixture
def collected(place):
    """Run pytest there, as its user does, with this plugin and no other."""

    def collected(*arguments: str, code: int) -> str:
        root = str(Path(spyderresp.__file__).parents[1])
        environment = {
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "",
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        }
        plugin = ["-p", "spyderresp.pytest_plugin", "-p", "no:cacheprovider", "-W", "error", "--tb=short", "-rA"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *plugin, *arguments],
            cwd=place, env=environment, capture_output=True, text=True, timeout=480, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return collected


def test_the_entry_point_leads_here():
    (line,) = re.findall(r"\[project\.entry-points\.pytest11\]\n(.*)", PYPROJECT.read_text())
    assert line == 'spyderresp = "spyderresp.pytest_plugin"'
    try:
        version("spyderresp")
    except PackageNotFoundError:
        return
    assert [point.value for point in entry_points(group="pytest11", name="spyderresp")] == ["spyderresp.pytest_plugin"]


def test_each_test_and_row_is_an_item(collected):
    Path("tests/test_table.yaml").write_text(TABLE)
    Path("tests/some.response-test.yml").write_text(GOOD + "---\n" + GOOD.replace("name: s", "name: t"))
    Path("tests/other.yaml").write_text(GOOD)
    out = collected(code=0)
    assert sorted(re.findall(r"^PASSED (.*)", out, re.MULTILINE)) == [
        "tests/some.response-test.yml::s: flagged",
        "tests/some.response-test.yml::t: flagged",
        "tests/test_table.yaml::flagged / one",
        "tests/test_table.yaml::flagged / three",
        "tests/test_table.yaml::flagged / two",
    ]
    out = collected("-k", "two", code=0)
    assert "1 passed, 4 deselected" in out
    assert "1 passed" in collected("tests/test_table.yaml::flagged / two", code=0)


def test_a_failure_is_told_as_on_the_command_line(collected, place, capsys):
    bad = GOOD.replace("[makeRedFlag]", "[agentKillPod]").replace("flagged", "a\x1bb")
    Path("tests/test_bad.yaml").write_text(bad.replace("a\x1bb", '"a\\x1bb"'))
    out = collected(code=1)
    assert "\x1b" not in out
    assert "- agentKillPod  <- expected, not planned" in out
    from_command_line = spyderresp_test(place)
    for line in from_command_line:
        assert line in out
    assert "FAILED tests/test_bad.yaml::a\\x1bb" in out


def spyderresp_test(place: Path) -> list[str]:
    command = [sys.executable, "-m", "spyderresp", "test", str(place / "tests")]
    root = str(Path(spyderresp.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1, done.stderr
    return done.stdout.splitlines()[:-2]


def test_what_cannot_be_read(collected):
    Path("tests/test_faulty.yaml").write_text(GOOD.replace("expect", "expects"))
    out = collected(code=2)
    assert "test_faulty.yaml:8:3: error[SR701]: unknown key `expects` in a test" in out
    assert "help: did you mean `expect`?" in out
    Path("tests/test_faulty.yaml").write_text(GOOD.replace("../policies", "../gone"))
    out = collected(code=1)
    assert "s: flagged" in out
    assert "error[SR001]: no such file or directory" in out


def test_other_files_are_left_alone(collected):
    Path("tests/test_chart.yaml").write_text("kind: Deployment\n# no ResponseTest of spyderresp/v1\n")
    Path("tests/test_binary.yml").write_bytes(b"\xff\xfe\x00")
    Path("tests/test_broken.yaml").write_text("{{ template }}: [")
    Path("tests/response-test.yaml").write_text(GOOD)
    Path("tests/test_loaded.py").write_text(
        "import sys\n\ndef test_loaded():\n    assert 'spyderresp.authoring' not in sys.modules\n"
    )
    Path("tests/test_chart.yaml").write_text("kind: Deployment\n")
    assert "1 passed" in collected(code=0)
    Path("tests/test_chart.yaml").write_text("kind: Deployment\n# no ResponseTest of spyderresp/v1\n")
    assert "1 failed" in collected(code=1)
    assert "no tests ran" in collected("tests", "--ignore-glob=*.py", code=5)
