"""What is fixed means what it meant, loads in strict mode, and has nothing left to fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import strategies as s
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

import spyderresp
from spyderresp.authoring.lint import lint
from spyderresp.authoring.lint.fixes import fix_text
from spyderresp.policies.codes import CODES
from spyderresp.policies.loader import read, read_text

REPAIRED = {code for code, kind in CODES.items() if kind.repair}


def block(documents: list[Any]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)


def commented(documents: list[Any]) -> str:
    """Write a comment after every key that stands by itself, and above it."""
    lines = []
    for line in block(documents).splitlines(keepends=True):
        if line.endswith(":\n"):
            lines += [" " * (len(line) - len(line.lstrip())) + "# above\n", line[:-1] + "  # beside\n"]
        else:
            lines.append(line)
    return "".join(lines)


WRITERS = {
    "block": block,
    "sorted": lambda documents: yaml.safe_dump_all(documents, allow_unicode=True),
    "wide": lambda documents: yaml.safe_dump_all(documents, sort_keys=False, indent=6),
    "flow": lambda documents: yaml.safe_dump_all(documents, sort_keys=False, default_flow_style=True, width=60),
    "sorted flow": lambda documents: yaml.safe_dump_all(documents, default_flow_style=True),
    "commented": commented,
    "windows": lambda documents: commented(documents).replace("\n", "\r\n"),
    "json": json.dumps,
    "indented json": lambda documents: json.dumps(documents, indent=2),
}


@pytest.mark.parametrize("writer", WRITERS)
@given(data=st.data())
def test_what_is_fixed_means_what_it_meant(writer: str, data: st.DataObject) -> None:
    text = WRITERS[writer](data.draw(s.policy_sets(min_size=1, max_size=2)))
    try:
        before = spyderresp.loads(text)
    except spyderresp.PolicyError:
        assume(False)
    fixed = fix_text("a.yaml", text)
    assert spyderresp.loads(fixed.text).digest == before.digest
    left = [item for item in lint(read_text(fixed.text)) if item.code in REPAIRED]
    assert not left
    spyderresp.loads(fixed.text, strict=True)
    assert fix_text("a.yaml", fixed.text).text == fixed.text
    assert (fixed.text != text) == bool(fixed.applied)
    for comment in ("# above", "# beside"):
        assert fixed.text.count(comment) == text.count(comment)
    assert "\r\n" not in text or "\n" not in fixed.text.replace("\r\n", "")


@given(st.text() | s.policy_sets().map(block).flatmap(lambda text: st.integers(0, len(text)).map(lambda i: text[:i])))
@example("a: *b\n")
@example("- *\n- *a*\n")
@example("\ufeffa: *.b")
def test_any_text_can_be_tried(text: str) -> None:
    fixed = fix_text("a.yaml", text)
    assert fix_text("a.yaml", fixed.text).text == fixed.text


def test_the_references_mistakes_are_fixed(corpus: Path) -> None:
    applied = {}
    for source in read(corpus / "corpus/reference").sources:
        fixed = fix_text(source.path, source.text)
        spyderresp.loads(fixed.text, strict=True)
        assert spyderresp.loads(fixed.text).digest == spyderresp.loads(source.text).digest
        if fixed.applied:
            applied[Path(source.path).name[:3]] = [item.code for item in fixed.applied]
    assert applied == {"S02": ["SR401", "SR402"], "S03": ["SR401", "SR402"], "S12": ["SR403"]}


def test_every_vendor_policy_is_made_strict(corpus: Path) -> None:
    for source in read(corpus / "corpus/vendor_policies").sources:
        fixed = fix_text(source.path, source.text)
        assert [item.code for item in fixed.applied] == ["SR404"]
        # One line is new, and every other is as it was.
        lines = fixed.text.split("\n")
        added = [i for i, line in enumerate(lines) if line.strip() == "mode: audit"]
        assert len(added) == 1
        assert lines[: added[0]] + lines[added[0] + 1 :] == source.text.split("\n")
        assert spyderresp.loads(fixed.text, strict=True).digest == spyderresp.loads(source.text).digest


POLICY = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: demo, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: demo-cluster}}
  response:
    actions:
    - makeRedFlag:
        severity: high
"""


@pytest.mark.parametrize(
    ("selector", "glob"),
    [
        ("matchFields: {name: *.sh}", "*.sh"),
        ("matchFields:\n            name: *nginx", "*nginx"),
        ("matchFields:\n            name: */bin/* # all of them", "*/bin/*"),
        ("matchFieldsExpressions: [{key: exe, operator: In, values: [*a*, *b]}]", "*a*"),
        ("name:\n          - *x.y", "*x.y"),
        ("name: *", "*"),
        ("{name: [*]}", "*"),
        ("matchFields: {name: *[ab]*, exe: [a, b]}", "*[ab]*"),
        ("name: *[0-9].sh  # numbered", "*[0-9].sh"),
        ("name: [a-z]*", "[a-z]*"),
        ("name: [!a]", "[!a]"),
        ("matchFields: {name: [!a-f]*}", "[!a-f]*"),
        ("name:\n          - [!a].sh", "[!a].sh"),
    ],
)
def test_a_glob_that_yaml_takes_for_an_alias_is_quoted(selector: str, glob: str) -> None:
    text = f"{POLICY}        processSelector:\n          {selector}\n"
    assert read_text(text).findings.errors
    fixed = fix_text("a.yaml", text)
    (policy,) = spyderresp.loads(fixed.text, strict=True)
    assert policy.entries[0].selectors[0].clauses[0].values[0] == glob
    assert fixed.text.replace("'", "") == text


def test_a_finding_says_how_a_glob_is_quoted_where_that_mends_it() -> None:
    text = f"{POLICY}        processSelector: {{name: *.sh}}\n"
    # What else is wrong comes to light only then, further up.
    (found,) = lint(read_text(text.replace("makeRedFlag", "makeRedFlags")))
    assert found.fix is not None
    assert [edit.text for edit in found.fix.edits] == ["'*.sh'"]
    (found,) = lint(read_text(f"{POLICY}        processSelector: *shells\n"))
    assert found.fix is None


def test_an_alias_of_a_mapping_is_no_glob() -> None:
    text = f"{POLICY}        processSelector: *shells\n"
    assert fix_text("a.yaml", text).text == text


def test_a_misspelt_anchor_is_no_glob() -> None:
    text = f"{POLICY}        processSelector: {{name: *shels}}\n"
    assert fix_text("a.yaml", text).text != text
    text = text.replace("{name: demo", "{shells: &shells [bash], name: demo")
    assert fix_text("a.yaml", text).text == text


def test_one_that_cannot_be_made_keeps_back_no_other() -> None:
    # Three policies lack a mode; in the middle one a merge from another document's part stands in the way of SR401.
    plain = POLICY.replace("  mode: enforce\n", "").replace("        severity: high\n", "        severity: high\n")
    plain = plain.replace("name: demo", "name: NAME") + "        processSelector: {name: [nc]}\n"
    stuck = plain.replace(
        "    - makeRedFlag:\n        severity: high\n        processSelector: {name: [nc]}\n",
        "    - makeRedFlag:\n      <<: *base\n",
    ).replace("metadata: {", "metadata: {base: &base {severity: high, processSelector: {name: [nc]}}, ")
    text = "---\n".join(part.replace("NAME", name) for part, name in ((plain, "a"), (stuck, "b"), (plain, "c")))
    fixed = fix_text("a.yaml", text)
    assert [item.code for item in fixed.applied] == ["SR404"] * 3
    assert [item.code for item in spyderresp.loads(fixed.text).diagnostics] == ["SR401"]


def test_folded_markdown_is_mended_only_when_asked() -> None:
    content = "'it''s:\n\n        # A\n        1. b\n        '"
    text = f"{POLICY}        processSelector: {{name: nc}}\n        content: {content}\n"
    assert fix_text("a.yaml", text).text == text
    fixed = fix_text("a.yaml", text, unsafe=True)
    assert dict(spyderresp.loads(fixed.text)[0].entries[0].parameters)["content"] == "it's:\n\n# A\n1. b"
    assert fix_text("a.yaml", fixed.text, unsafe=True).text == fixed.text


def test_what_a_merge_brings_is_left_to_its_author() -> None:
    text = POLICY.replace(
        "    - makeRedFlag:\n        severity: high\n",
        "    - makeRedFlag:\n      <<: *base\n",
    ).replace("metadata: {", "metadata: {base: &base {severity: high, processSelector: {name: nc}}, ")
    assert [item.code for item in spyderresp.loads(text).diagnostics] == ["SR401"]
    assert fix_text("a.yaml", text).text == text
