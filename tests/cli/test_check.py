"""``check``: mending files, a project's configuration, and the forms that programs read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from sarif_pydantic import Sarif

FOLDED = """\
# kept
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: demo, type: cluster}
spec:
  clusterSelector: {matchFields: {name: demo}}  # kept too
  response:
    default:
    - agentReniceProcess: {priority: "20"}
    actions:
    - makeRedFlag:
      severity: high
      content: 'Do
        1. this
        2. that'
      processSelector: {name: [nc]}
"""
FIXED = """\
# kept
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: demo, type: cluster}
spec:
  mode: audit
  clusterSelector: {matchFields: {name: demo}}  # kept too
  response:
    default:
    - agentReniceProcess: {priority: "19"}
    actions:
    - makeRedFlag:
        severity: high
        content: 'Do
          1. this
          2. that'
        processSelector: {name: [nc]}
"""
WIDE = FIXED.replace("makeRedFlag:", "agentKillPod:  # noted").split("        severity")[0] + (
    "        processSelector: {matchFields: {name: '*'}}\n"
)


@pytest.fixture
def policy(run: object) -> Path:
    """A policy with mistakes, in the directory where commands run."""
    path = Path("mended.yaml")
    path.write_text(FOLDED)
    return path


def test_fixing_a_file(run, policy):
    policy.chmod(0o640)
    result = run("check", "--fix", "mended.yaml")
    assert policy.read_text() == FIXED
    assert stat.S_IMODE(policy.stat().st_mode) == 0o640
    assert result.out.splitlines()[-3:] == [
        "fixed 3 findings in 1 file",
        "checked 1 policy: 1 warning",
        "`--unsafe-fixes` corrects 1 of them and changes the texts of flags",
    ]
    assert result.code == 1
    run("check", "--fix", "mended.yaml")
    assert policy.read_text() == FIXED
    result = run("check", "--unsafe-fixes", "--strict", "mended.yaml")
    assert (result.code, result.out.splitlines()[-1]) == (0, "checked 1 policy: no findings")
    assert "content: |-\n          Do\n          1. this\n          2. that\n" in policy.read_text()


def test_a_difference_changes_nothing(run, policy):
    result = run("check", "--diff", "mended.yaml")
    assert result.code == 1
    assert policy.read_text() == FOLDED
    assert "+  mode: audit" in result.out.splitlines()
    policy.write_text(FIXED)
    result = run("check", "--diff", "mended.yaml")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_link_stays_and_so_does_the_mark_at_the_beginning(run, policy):
    Path("real.yaml").write_bytes(b"\xef\xbb\xbf" + FOLDED.encode())
    policy.unlink()
    policy.symlink_to("real.yaml")
    run("check", "--fix", "mended.yaml")
    assert policy.is_symlink()
    assert Path("real.yaml").read_bytes() == b"\xef\xbb\xbf" + FIXED.encode()


def test_what_cannot_be_written_is_said_and_stays(run, policy, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run("check", "--fix", "mended.yaml")
    assert (result.code, result.out) == (3, "")
    assert result.err == "spyderresp: mended.yaml: cannot be rewritten: no space left on device\n"
    assert policy.read_text() == FOLDED
    assert not list(Path().glob(".mended*"))


def test_a_broken_file_is_left_alone(run, policy):
    policy.write_text(FOLDED.replace("severity", "severiti"))
    before = policy.read_text()
    assert run("check", "--fix", "mended.yaml").code == 2
    assert policy.read_text() == before


@pytest.mark.parametrize(
    ("name", "head"), [("spyderresp.toml", "[check]\n"), ("pyproject.toml", "[tool.spyderresp.check]\n")]
)
def test_a_project_says_what_it_wants(run, name, head):
    Path("wide.yaml").write_text(WIDE)
    Path(name).write_text(head)
    assert run("check", "wide.yaml").code == 1
    Path(name).write_text(f'{head}ignore = ["SR803"]\n')
    assert run("check", "wide.yaml").code == 0
    Path(name).write_text(f'{head}per-file-ignores = {{ "wi*.yaml" = ["SR803"] }}\n')
    assert run("check", "wide.yaml").code == 0
    Path(name).write_text(f'{head}per-file-ignores = {{ "trial/*" = ["SR803"] }}\nfail-on = "error"\n')
    result = run("check", "wide.yaml")
    assert (result.code, "warning[SR803]" in result.out) == (0, True)
    assert run("check", "--fail-on", "warning", "wide.yaml").code == 1
    Path(name).write_text(f"{head}strict = true\nportable = true\n")
    assert "note[SR521]" in run("check", "wide.yaml").out
    Path("wide.yaml").write_text(FOLDED)
    assert run("check", "wide.yaml").code == 2


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("ignored = []", "unknown key `ignored`; did you mean `ignore`?"),
        ('ignore = ["SR80"]', "`ignore`: unknown code `SR80`; did you mean"),
        ('ignore = ["SR001"]', "`ignore`: `SR001` is an error, and errors cannot be ignored"),
        ("ignore = 3", "`ignore` must be a list of codes"),
        ("strict = 3", "`strict` must be true or false"),
        ('fail-on = "warnin"', "unknown value `warnin` of `fail-on`; did you mean `warning`?"),
        ("x", "Expected '=' after a key"),
        ("[chek]", "unknown key `chek`; did you mean `check`?"),
    ],
)
def test_a_wrong_configuration_ends_it(run, said, reason):
    Path("spyderresp.toml").write_text(f"[check]\n{said}\n")
    result = run("check", "policies")
    assert (result.code, result.out) == (3, "")
    assert reason in result.err
    assert "spyderresp.toml: " in result.err


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("[tool]\nspyderresp = 3", "`spyderresp` must be a table"),
        ("[tool.spyderresp]\ncheck = 3", "`check` must be a table"),
        ("[tool.spyderresp.chek]", "unknown key `chek`"),
    ],
)
def test_a_wrong_table_of_a_shared_file_ends_it(run, said, reason):
    Path("pyproject.toml").write_text(f"# tool.spyderresp\n{said}\n")
    result = run("check", "policies")
    assert (result.code, result.out) == (3, "")
    assert reason in result.err


def test_sarif_is_what_its_schema_says(run, policy):
    result = run("check", "--format", "sarif", "mended.yaml", "mixed.yaml", "gone.yaml", "policies")
    said = json.loads(result.out)
    # Its classes are the schema's.
    assert Sarif.model_validate(said).runs[0].tool.driver.name == "spyderresp"
    (only,) = said["runs"]
    assert {item["ruleId"] for item in only["results"]} == {rule["id"] for rule in only["tool"]["driver"]["rules"]}
    fixed = [item for item in only["results"] if "fixes" in item and item["ruleId"] == "SR403"]
    replacement = fixed[0]["fixes"][0]["artifactChanges"][0]["replacements"][0]
    assert replacement["insertedContent"]["text"] == '"19"'
    assert replacement["deletedRegion"] == {"startLine": 9, "startColumn": 38, "endLine": 9, "endColumn": 42}
