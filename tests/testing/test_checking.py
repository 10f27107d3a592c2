"""What a test says of a plan, and what is said where it does not hold."""

from __future__ import annotations

import pytest

SHELL = """\
  event: {cluster: {name: prod-east}, namespace: {name: shop}, process: {name: bash, exe: /bin/bash}}
"""
PAYMENTS = """\
  event: {cluster: {name: prod-east}, namespace: {name: shop}, pod: {labels: {app: payments}}}
"""


def messages(report) -> list[tuple[str, str]]:
    return [(problem.kind, problem.message) for result in report.results for problem in result.problems]


@pytest.mark.parametrize(
    "expect",
    [
        "[makeRedFlag, agentKillProcessTree]",
        "{policies: [production-cluster], none_of: [agentKillPod, {action: makeRedFlag, disposition: audit}]}",
        "{plan: contains, actions: [agentKillProcessTree]}",
        "{plan: contains, actions: [{policy: production-cluster, index: 0, section: actions}, makeRedFlag]}",
        "[{parameters: {severity: high, content: ~}}, {disposition: execute, reason: ~, superseded_by: ~}]",
        "{target: {cluster: {name: prod-east}, namespace: {name: shop}, process: {name: bash, exe: /bin/bash}}}",
        "{attribution: ~}",
        "{version: 1, event: ~}",
    ],
)
def test_what_holds(tested, expect):
    assert messages(tested(f"tests:\n- name: a\n{SHELL}  expect: {expect}\n")) == []


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("[makeRedFlag]", [("actions", "1 action expected: 1 as expected, 1 more than expected")]),
        ("[]", [("actions", "0 actions expected: 2 more than expected")]),
        ("[agentKillProcessTree, makeRedFlag]", None),
        ("{plan: contains, actions: [makeRedFlag, makeRedFlag]}",
         [("actions", "2 actions expected: 1 as expected, 1 missing")]),
        ("{none_of: [{policy: production-cluster, section: actions}]}",
         [("none_of", "`agentKillProcessTree` must not be planned, and is planned")]),
        ("{policies: []}", [("policies", "in scope are `production-cluster`, not none")]),
        ("{version: yes}", [("plan", "`version` is not as expected")]),
        ("{version: true}", [("plan", "`version` is not as expected")]),
        ("{attribution: matched}", [("plan", "`attribution` is not as expected")]),
        ("{error: process.exe}", [("error", "an error at `process.exe` was expected, and the event was decided")]),
        ("{error: {}}", [("error", "an error was expected, and the event was decided")]),
        ("{plan: whole, actions: [makeRedFlag, agentKillProcessTree]}", [("actions", "2 actions expected: 2 not")]),
    ],
)  # fmt: skip
def test_what_does_not(tested, expect, said):
    found = messages(tested(f"tests:\n- name: a\n{SHELL}  expect: {expect}\n"))
    assert found if said is None else found == said


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("[agentKilPod]", "there is no action `agentKilPod`; did you mean `agentKillPod`?"),
        ("{none_of: [agentKilPod]}", "there is no action `agentKilPod`; did you mean `agentKillPod`?"),
        ("{none_of: [{policy: production}]}",
         "there is no policy `production` here; did you mean `production-cluster`?"),
        ("{none_of: [{policy: production-cluster, section: actions, index: 2}]}",
         "there is no actions[2] in policy `production-cluster`"),
        ("{none_of: [{policy: production-cluster, section: actions, index: 0, action: agentKillPod}]}",
         "actions[0] in policy `production-cluster` is `agentKillProcessTree`, not `agentKillPod`"),
        ("{none_of: [{uid: pol:wbe}]}", "no policy here has the uid `pol:wbe`; did you mean `pol:web`?"),
        ("{none_of: [{sources: [{policy: web-container}]}]}",
         "there is no policy `web-container` here; did you mean `web-containers`?"),
        ("{policies: [production-cluster, prod]}",
         "there is no policy `prod` here; valid here: `production-cluster`, `web-containers`, `ssh-service-trial`"),
    ],
)  # fmt: skip
def test_names_are_checked(tested, expect, message):
    found = messages(tested(f"tests:\n- name: a\n{SHELL}  expect: {expect}\n"))
    assert found[0] == ("name", message)


def test_an_event_of_a_policy_that_is_not_here(tested):
    text = "tests:\n- {name: a, event: {policy_name: web-container}, expect: []}\n"
    ((kind, message),) = messages(tested(text))
    assert kind == "name"
    assert message == (
        "the event names policy_name `web-container`, and no policy here has it; did you mean `web-containers`?"
        " (expect `attribution: unknown` if this is intended)"
    )
    meant = text.replace("expect: []", "expect: {actions: [], attribution: unknown}")
    assert messages(tested(meant)) == []
    assert messages(tested(meant.replace("unknown", "disabled"))) == [("plan", "`attribution` is not as expected")]


def test_errors(tested):
    event = "tests:\n- name: a\n  event: {process: {exe: 7}}\n  expect: "
    assert messages(tested(f"{event}[]")) == [
        ("error", "the event cannot be decided: process.exe: must be a text or null"),
    ]
    assert messages(tested(f"{event}{{error: process.exe}}")) == []
    assert messages(tested(f"{event}{{error: {{reason: text or null}}}}")) == []
    assert messages(tested(f"{event}{{error: process.name}}")) == [
        ("error", "an error at `process.name` was expected, and the error is: process.exe: must be a text or null")
    ]
    assert messages(tested(f"{event}{{error: {{path: process.exe, reason: number}}}}")) == [
        (
            "error",
            "an error at `process.exe` with the reason `number` was expected, "
            "and the error is: process.exe: must be a text or null",
        )
    ]


def test_why_an_action_is_missing(tested):
    (result,) = tested(f"tests:\n- name: a\n{PAYMENTS}  expect: [makeRedFlag, agentKillProcessTree]\n").results
    (problem,) = result.problems
    assert [(pair.expected, pair.got) for pair in problem.layout.pairs] == [(0, 0), (1, None), (None, 1)]
    (reason,) = problem.layout.reasons[1]
    assert reason.entry == "production-cluster, actions[0]"
    assert reason.text == "did not fire: the event has no object for processSelector"
    assert str(reason.location) == "policies/10-production-cluster.yaml:23:7"


def test_each_event_of_several_is_told_of(tested):
    text = "tests:\n- name: a\n  events: [{}, {cluster: {name: prod-east}}]\n  expect: []\n"
    (result,) = tested(text).results
    assert [problem.event.label for problem in result.problems] == ["events[1]"]


def test_options_of_the_engine(tested):
    missing = "apiVersion: spyderresp/v1\nkind: ResponseTest\npolicies: ../policies\nmode: audit\n"
    actions = "[{action: makeRedFlag, disposition: audit}]"
    text = f"tests:\n- name: a\n{SHELL}  expect: {{plan: contains, actions: {actions}}}"
    assert messages(tested(missing + text)) == []
    assert messages(tested(text)) == [("actions", "1 action expected: 1 not")]


def test_other_forms(tested):
    record = "{output: x, rule: r, priority: Notice, time: '2026-01-01T00:00:00Z', output_fields: {proc.name: sh}}"
    text = f"tests:\n- name: a\n  form: falco\n  event: {record}\n  expect: {{target: ~, actions: []}}\n"
    assert messages(tested(text)) == []
    wrong = text.replace("output_fields: {proc.name: sh}", "output_fields: 7")
    ((kind, message),) = messages(tested(wrong))
    assert kind == "error"
    assert message.startswith("the event cannot be decided: output_fields")
