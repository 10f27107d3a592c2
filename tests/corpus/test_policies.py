"""Real policies, and documents with one thing wrong."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

import spyderresp

# docs/decisions/0004-booleans.md: the table accepts `enabled: nope`, which the normative semantics call an error.
DISPUTED = {"B124-enabled-string.yaml": "SR114"}


def verdict(path: Path) -> tuple[str, tuple[spyderresp.Diagnostic, ...]]:
    try:
        policies = spyderresp.load(path)
    except spyderresp.PolicyError as error:
        return "reject", error.diagnostics
    return ("accept" if len(policies) else "skip"), policies.diagnostics


def test_every_verdict_on_bad_inputs(corpus: Path) -> None:
    directory = corpus / "corpus" / "bad_inputs"
    with (directory / "EXPECT.tsv").open() as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    assert len(rows) == 111
    differing = {}
    for row in rows:
        found, diagnostics = verdict(directory / row["case"])
        if found != row["expected"]:
            differing[row["case"]] = "".join(item.code for item in diagnostics)
        if found == "reject":
            errors = [item for item in diagnostics if item.level == "error"]
            assert errors
            assert all(item.location.path.endswith(row["case"]) for item in errors)
        if found == "skip":
            assert [item.level for item in diagnostics] == ["note"], row["case"]
    assert differing == DISPUTED


def test_reference_examples(corpus: Path) -> None:
    paths = sorted((corpus / "corpus" / "reference").glob("*.yaml"))
    assert len(paths) == 14
    refused = []
    for path in paths:
        assert len(spyderresp.load(path)) == 1
        try:
            spyderresp.load(path, strict=True)
        except spyderresp.PolicyError:
            refused.append(path.name[:3])
    assert refused == ["S02", "S03", "S12"]


def test_vendor_policies(corpus: Path) -> None:
    policies = spyderresp.load(corpus / "corpus" / "vendor_policies")
    assert len(policies) == 64
    assert Counter(policy.type for policy in policies) == {"container": 25, "linux-service": 39}
    assert Counter((item.code, item.level) for item in policies.diagnostics) == {("SR404", "warning"): 64}
    with pytest.raises(spyderresp.PolicyError) as caught:
        spyderresp.load(corpus / "corpus" / "vendor_policies", strict=True)
    assert len(caught.value.errors) == 64
