"""``spyderresp analyze`` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import spyderresp

NEVER = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: never, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: prod}}
  response:
    actions:
    - agentKillPod:
        clusterSelector: {matchFields: {name: test}}
"""


def test_answers_have_a_place_and_an_event(run) -> None:
    Path("never.yaml").write_text(NEVER)
    result = run("analyze", "never.yaml", "policies")
    assert result.code == 1
    assert result.out.splitlines()[:2] == [
        "never.yaml:9:7: never-fires: never: actions[0] agentKillPod",
        "  no event can match both its selectors and the policy's",
    ]
    assert "contradictory: production: actions[0] agentKillProcessTree" in result.out
    assert result.out.endswith("analyzed 5 policies: 3 answers\n")


def test_nothing_to_say(run) -> None:
    result = run("analyze", "good.yaml")
    assert (result.code, result.out) == (0, "analyzed 1 policy: nothing to report\n")


def test_what_can_be_reached(run) -> None:
    result = run(
        "analyze", "policies", "--reach", "pod.labels.app=payments", "--action", "agentKillPod", "--format", "json"
    )
    assert result.code == 1
    said = json.loads(result.out)
    assert [(item["kind"], item["policy"]) for item in said["answers"]] == [("reaches", "production")]
    assert said["answers"][0]["event"]["pod"] == {"labels": {"app": "payments"}}
    none = run("analyze", "policies", "--reach", "pod.labels.app=web", "--action", "agentKillPod")
    assert (none.code, none.out) == (0, "analyzed 4 policies: no action can fire for such an event\n")


def test_two_are_compared(run) -> None:
    apart = run("analyze", "policies", "--compare", "production: actions[0]", "nowhere")
    assert (apart.code, apart.err) == (
        3,
        "spyderresp analyze: error: --compare: there is no policy `nowhere`; valid here: "
        + ", ".join(f"`{policy.name}`" for policy in spyderresp.load("policies"))
        + "\n",
    )
    same = run("analyze", "policies", "--compare", "production", "production")
    assert same.code == 1
    assert (
        "equivalent: production\n  it plans the same actions for the same events as production\n  shown by {"
        in same.out
    )
    assert run("analyze", "policies", "--compare", "production", "production", "--reach", "pod").code == 3


def test_wrong_questions(run) -> None:
    assert run("analyze", "policies", "--reach", "pod.app=x").err == (
        "spyderresp analyze: error: --reach pod.app=x: unknown field `pod.app`; valid here: `pod.labels.KEY`\n"
    )
    assert run("analyze", "policies", "--action", "agentKillPod").code == 3
    assert run("analyze", "nowhere").code == 2
