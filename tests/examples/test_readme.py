"""README.md is right: its policy has no findings, its output is real, its links lead somewhere.

``test_snippets.py`` runs its Python.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def spyderresp(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spyderresp", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (policy,) = blocks("yaml")
    (alert,) = blocks("json")
    (tmp_path / "policy.yaml").write_text(policy)
    (tmp_path / "alerts.jsonl").write_text(alert)
    return tmp_path


def test_the_policy_has_no_findings(folder: Path) -> None:
    result = spyderresp("check", "policy.yaml", folder=folder)
    assert (result.returncode, result.stdout + result.stderr) == (0, "checked 1 policy: no findings\n")


def test_the_plan_shown_is_real(folder: Path) -> None:
    (shown,) = blocks("text")
    command, output = shown.split("\n", 1)
    assert command.startswith("$ spyderresp ")
    result = spyderresp(*command.removeprefix("$ spyderresp ").split(), folder=folder)
    assert (result.returncode, result.stdout, result.stderr) == (0, output, "")


def test_the_first_result_stands_within_thirty_lines() -> None:
    assert PAGE[: PAGE.index("$ spyderresp plan")].count("\n") <= 30


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_quickstart_kills_the_process_that_it_started() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/quickstart.py")],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    first, why, last = done.stdout.splitlines()
    assert first.startswith("agentKillProcess: done: killed process ")
    assert "`sleep`" in first
    assert why == "  because policy no-sleepers asks for it in line 10: - agentKillProcess:"
    assert last == "sleep ended by signal 9"
