"""Every code has a page, every page's examples do what it says, and every code can happen."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import spyderresp
from spyderresp.authoring.lint import lint
from spyderresp.authoring.testing.suite_files import read as read_tests
from spyderresp.cli import main
from spyderresp.executors import Recording
from spyderresp.policies import diagnostics as findings
from spyderresp.policies import document_limits, loader, yaml_reader
from spyderresp.policies.codes import CODES, code_pages
from spyderresp.policies.diagnostics import Source
from spyderresp.service import trusted_files
from spyderresp.service.config import build
from spyderresp.service.config.load import ConfigurationError, read_configuration

# What `check` looks for and loading does not.
LINTS = {code for code in CODES if code > "SR800" or code in ("SR521", "SR522", "SR523")}
PAGES = Path(__file__).parents[2] / "docs" / "codes"
FENCE = re.compile(r"```yaml (wrong|right)\n(.*?)```", re.DOTALL)
POLICY = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: a, type: cluster}
spec: {mode: audit, clusterSelector: {name: a}}
"""


def found(read: Callable[[], spyderresp.PolicySet]) -> tuple[spyderresp.Diagnostic, ...]:
    try:
        return read().diagnostics
    except spyderresp.PolicyError as error:
        return error.diagnostics


def configured(text: str, folder: Path) -> list[tuple[str, int]]:
    """Return the codes and lines of what is wrong with a configuration."""
    (folder / "run.yaml").write_text(text)
    try:
        read_configuration(str(folder / "run.yaml"))
    except ConfigurationError as error:
        return [(item.code, item.location.line) for item in error.diagnostics]
    return []


def faults(text: str) -> list[tuple[str, int]]:
    """Return the codes and lines of what is wrong with a policy test."""
    collected = findings.Findings()
    read_tests(Source("tests/test.yaml", text), collected)
    return [(item.code, item.location.line) for item in collected.items]


def fences(code: str) -> dict[str, str]:
    return dict(FENCE.findall((PAGES / f"{code}.md").read_text()))


def test_there_is_a_page_for_each_code_and_no_other() -> None:
    assert {path.stem for path in PAGES.glob("SR*.md")} == set(CODES)
    index = (PAGES / "README.md").read_text()
    assert re.findall(r"^\| \[(SR\d+)\]", index, re.MULTILINE) == list(CODES) == sorted(CODES)


@pytest.mark.parametrize("code", CODES)
def test_a_page_begins_with_its_title(code: str) -> None:
    page = (PAGES / f"{code}.md").read_text()
    assert page.startswith(f"# {code}: {CODES[code].title}\n\nLevel: {CODES[code].level}")


@pytest.mark.parametrize("code", CODES)
def test_examples(code: str, tmp_path: Path) -> None:
    examples = fences(code)
    if not examples:
        assert code in UNWRITTEN or code in FOUND_LATE
        return
    wrong = examples["wrong"]
    here = 1 + wrong[: wrong.index("# <-- here")].count("\n")
    if code.startswith("SR7"):
        assert faults(wrong) == [(code, here)]
        assert faults(examples["right"]) == []
        return
    if code.startswith("SR6"):
        assert configured(wrong, tmp_path) == [(code, here)]
        assert configured(examples["right"], tmp_path) == []
        return
    if code in LINTS:
        mine = [item for item in lint(loader.read_text(wrong), portable=True) if item.code == code]
        assert [(item.level, item.location.line) for item in mine] == [(CODES[code].level, here)]
        # What is right is right for every other rule as well.
        assert lint(loader.read_text(examples["right"], strict=True), portable=True) == []
        assert not {item.code for item in found(lambda: spyderresp.loads(wrong))} & LINTS
        return
    diagnostics = found(lambda: spyderresp.loads(wrong))
    mine = [item for item in diagnostics if item.code == code]
    assert [(item.level, item.location.line) for item in mine] == [(CODES[code].level, here)]
    assert {item.code for item in diagnostics if item.level == "error"} <= {code}
    if CODES[code].repair:
        strict = found(lambda: spyderresp.loads(wrong, strict=True))
        assert [item.level for item in strict if item.code == code] == ["error"]
    assert found(lambda: spyderresp.loads(examples["right"], strict=True)) == ()


def test_the_pages_name_the_limits_in_force() -> None:
    limits = {
        "SR004": document_limits.MAX_BYTES,
        "SR009": document_limits.MAX_DEPTH,
        "SR010": document_limits.MAX_NODES,
        "SR011": document_limits.MAX_ALIASED,
        "SR020": findings.MAX_ERRORS,
    }
    for code, limit in limits.items():
        assert f"{limit:,}" in (PAGES / f"{code}.md").read_text(), code


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def directory_with_an_empty_file(path: Path) -> Path:
    write(path / "a.yaml", POLICY.encode())
    write(path / "b.yaml", b"# later\n")
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path / "pipe.yaml")
    return path / "pipe.yaml"


# What is found when the parts of a service are made.
FOUND_LATE = ("SR609", "SR612", "SR613")
# What no example on a page can show.
UNWRITTEN: dict[str, Callable[[Path], Callable[[], spyderresp.PolicySet]]] = {
    "SR001": lambda path: lambda: spyderresp.load(path / "missing"),
    "SR002": lambda path: lambda: spyderresp.load(pipe(path)),
    "SR003": lambda path: lambda: spyderresp.load(path),
    "SR004": lambda path: lambda: spyderresp.load(write(path / "a.yaml", b"a" * 1001)),
    "SR005": lambda path: lambda: spyderresp.load(write(path / "a.yaml", POLICY.encode("utf-16"))),
    "SR006": lambda path: lambda: spyderresp.load(write(path / "a.yaml", b"\x7fELF\x00\x01")),
    "SR009": lambda path: lambda: spyderresp.loads("[" * 100_000),
    "SR010": lambda path: lambda: spyderresp.loads("[" + "a," * 200 + "]"),
    "SR011": lambda path: (
        lambda: spyderresp.loads("a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nd: [*c,*c,*c]\n")
    ),
    "SR018": lambda path: lambda: spyderresp.loads('[{"kind": "\\ud800"}]'),
    "SR019": lambda path: lambda: spyderresp.from_documents([{"kind": b"x"}]),
    "SR020": lambda path: lambda: spyderresp.loads("- x\n" * 100),
    "SR452": lambda path: lambda: spyderresp.load(directory_with_an_empty_file(path)),
}


def refused(arguments: list[str], monkeypatch: Any) -> set[str]:
    """Return the codes that the run of a service is refused with; it never begins."""
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    assert main(["run", *arguments]) == 3
    return set(re.findall(r"error\[(SR\d+)\]", said.getvalue()))


def test_what_only_making_a_service_can_show(tmp_path: Path, monkeypatch: Any) -> None:
    policy = write(tmp_path / "policy.yaml", POLICY.encode())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHORT", "x")
    sqlite = ["--set", "sqlite.path=flags.sqlite", "--set", "sqlite.actions=nothing"]
    found = {
        "SR609": refused(["--policies", str(policy), *sqlite], monkeypatch),
        "SR612": refused(["--policies", "policy.yaml", "--events", "http:0", "--token-env", "SHORT"], monkeypatch),
    }
    policy.chmod(0o666)
    monkeypatch.setattr(trusted_files, "privileged", lambda: True)
    monkeypatch.setattr(build, "make_executor", lambda *_: Recording())
    found["SR613"] = refused(["--policies", "policy.yaml", "--executor", "dry-run"], monkeypatch)
    assert found == {code: {code} for code in FOUND_LATE}


@pytest.mark.parametrize("code", UNWRITTEN)
def test_what_no_page_can_show(code: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(loader, "MAX_BYTES", 1000 if code == "SR004" else loader.MAX_BYTES)
    monkeypatch.setattr(yaml_reader, "MAX_NODES", 100 if code == "SR010" else yaml_reader.MAX_NODES)
    monkeypatch.setattr(yaml_reader, "MAX_ALIASED", 50)
    monkeypatch.setattr(findings, "MAX_ERRORS", 50)
    diagnostics = found(UNWRITTEN[code](tmp_path))
    assert code in {item.code for item in diagnostics}
    assert all(item.message and item.location.path for item in diagnostics)


def test_notes_and_warnings_never_end_a_load(monkeypatch: Any) -> None:
    monkeypatch.setattr(findings, "MAX_ERRORS", 3)
    text = "---\n".join(POLICY.replace("mode: audit, ", "").replace("name: a", f"name: a{i}") for i in range(9))
    policies = spyderresp.loads(text)
    assert [item.code for item in policies.diagnostics] == ["SR404"] * 9
    assert len(policies) == 9


def test_pages_of_the_package_are_those_of_the_docs() -> None:
    assert set(code_pages()) == set(CODES)
    for code, page in code_pages().items():
        path = PAGES / f"{code}.md"
        if os.environ.get("SPYDERRESP_UPDATE_EXPECTED"):
            path.write_text(page.rstrip("\n") + "\n")
        assert path.read_text() == page.rstrip("\n") + "\n", code


def test_the_command_prints_pages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain-code", "sr133", "SR001"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# SR133: the policy type needs a selector that is missing\n")
    assert "\n# SR001: " in out
    assert main(["explain-code", "SR999"]) == 3
    assert "there is no code `SR999`" in capsys.readouterr().err
