"""A place with policies, and a way to run tests written there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spyderresp.authoring.testing import Report, find, run

EXAMPLES = Path(__file__).parents[2] / "examples"
HEAD = "apiVersion: spyderresp/v1\nkind: ResponseTest\nname: s\npolicies: ../policies\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(EXAMPLES / "policies", tmp_path / "policies")
    shutil.copy(EXAMPLES / "events.jsonl", tmp_path)
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tested(place: Path) -> Callable[..., Report]:
    """Run the tests of a text; it begins with the usual head unless it has one."""

    def tested(text: str, *, coverage: bool = False) -> Report:
        Path("tests/t.yaml").write_text(text if text.startswith("apiVersion") else HEAD + text, "utf-8")
        found = find(["tests"])
        assert not found.diagnostics, list(map(str, found.diagnostics))
        return run(found.suites, coverage=coverage)

    return tested
