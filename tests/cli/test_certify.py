"""``spyderresp certify`` as its user sees it."""

from __future__ import annotations

import json


def test_what_was_proven_and_how(run) -> None:
    result = run("certify", "policies")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == "proven: values of cluster.name: 2 clauses on 3 classes of values; 6 compared"
    assert lines[-1].startswith("certified sha256:")
    assert "refuted" not in result.out


def test_the_certificate_as_data(run) -> None:
    said = json.loads(run("certify", "--format", "json", "--not-in", "documented", "policies").out)
    assert said["version"] == 1
    assert said["not_in"] == "documented"
    assert {item["verdict"] for item in said["statements"]} == {"proven"}


def test_policies_that_cannot_be_read(run) -> None:
    assert run("certify", "mixed.yaml").code == 2
