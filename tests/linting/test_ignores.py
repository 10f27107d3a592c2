"""Comments take findings back, with a reason, where they stand; never errors, and never from inside a text."""

from __future__ import annotations

import pytest

from spyderresp.authoring.lint import lint
from spyderresp.policies.loader import read_text

POLICY = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: demo, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: demo-cluster}}
  response:
    default:
    ABOVE
    - agentKillPod:BESIDE
    - makeRedFlag: {severity: low, content: "TEXT"}
"""


def codes(above: str = "# -", beside: str = "", text: str = "x", first: str = "") -> list[str]:
    filled = POLICY.replace("ABOVE", above).replace("BESIDE", beside).replace("TEXT", text)
    return [item.code for item in lint(read_text(first + filled))]


@pytest.mark.parametrize(
    ("comment", "left"),
    [
        ("# spyderresp: ignore[SR802] drills only", []),
        ("#spyderresp:ignore[SR802]: drills only", []),
        ("# spyderresp: ignore[SR802, SR803] drills only", ["SR823"]),
        ("# spyderresp: ignore[SR802]", ["SR802", "SR821"]),
        ("# spyderresp: ignore[SR802] # why", ["SR802", "SR821"]),
        ("# spyderresp: ignore[SR899] why", ["SR802", "SR822"]),
        ("# spyderresp: ignore[SR001] why", ["SR802", "SR822"]),
        ("# spyderresp: ignore[] why", ["SR802", "SR822"]),
        ("# spyderresp: ignore-file[SR802] why", []),
        ("# nothing of ours", ["SR802"]),
    ],
)
def test_comments(comment: str, left: list[str]) -> None:
    assert sorted(codes(above=comment)) == left
    assert sorted(codes(beside=f"  {comment}")) == left


def test_several_may_stand_above_one_finding() -> None:
    assert codes(above="# spyderresp: ignore[SR802] drills only\n    # and this says more") == []


def test_it_counts_where_it_stands() -> None:
    assert codes(first="# spyderresp: ignore[SR802] drills only\n") == ["SR823", "SR802"]
    assert codes(first="# spyderresp: ignore-file[SR802] drills only\n") == []


def test_what_stands_in_a_text_is_no_comment() -> None:
    assert codes(text=" # spyderresp: ignore-file[SR802] drills only") == ["SR802"]
