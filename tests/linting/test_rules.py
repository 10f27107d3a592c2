"""What the rules find, and what they leave alone. docs/codes shows each on a case; those pages are tests, too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from strategies import policy_sets

import spyderresp
from spyderresp.authoring import analysis as answers
from spyderresp.authoring.lint import lint
from spyderresp.policies.codes import CODES
from spyderresp.policies.loader import read, read_text

HEAD = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: demo, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: demo-cluster}}
  rulesets: []
  response:
    default: []
    actions:
"""


def codes(actions: str, head: str = HEAD) -> list[str]:
    return [item.code for item in lint(read_text(head + actions))]


def kill(selector: str, action: str = "agentKillProcess") -> str:
    return f"    - {action}:\n        {selector}\n"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("processSelector: {matchFields: {name: nc}}", []),
        ("processSelector: {matchFields: {name: 'n*'}}", []),
        ("processSelector: {matchFields: {name: '*'}}", ["SR803"]),
        ("processSelector: {matchFields: {name: '**'}}", ["SR803"]),
        ("processSelector: {matchFields: {name: '?*'}}", ["SR803"]),
        ("processSelector: {matchFieldsExpressions: [{key: exe, operator: In, values: [a, '*']}]}", ["SR803"]),
        ("processSelector: {matchFieldsExpressions: [{key: exe, operator: Exists}]}", ["SR803"]),
        ("podSelector: {matchExpressions: [{key: app, operator: Exists}]}", ["SR803"]),
        ("processSelector: {matchFields: {name: nc, exe: '*'}}", ["SR804"]),
        ("processSelector: {matchFieldsExpressions: [{key: exe, operator: NotIn, values: [a]}]}", ["SR805"]),
        ("podSelector: {matchExpressions: [{key: a, operator: DoesNotExist}]}", []),
        # What every exe and every cgroup looks like is known.
        ("processSelector: {matchFields: {exe: '/*'}}", ["SR803"]),
        ("processSelector: {matchFields: {name: '/*'}}", []),
        ("processSelector: {matchFields: {exe: '/*/nc'}}", []),
        ("processSelector: {matchFields: {name: nc, exe: ['/usr/*', '/[!u]*', '/u*', '/']}}", ["SR804"]),
        ("machineSelector: {matchFields: {hostname: ['[!a]*', 'a*']}}", ["SR803"]),
        # Nor does it narrow anything to say again what the policy says.
        ("clusterSelector: {matchFields: {name: demo-cluster}}", ["SR803"]),
        ("clusterSelector: {matchFields: {name: 'demo-*'}}", ["SR803"]),
        ("clusterSelector: {matchFields: {name: demo-cluster, uid: u}}", []),
        ("clusterSelector: {name: demo-cluster}\n        processSelector: {name: nc}", []),
        ("clusterSelector: {name: demo-cluster}\n        processSelector: {name: '*'}", ["SR803"]),
    ],
)
def test_kills(selector: str, expected: list[str]) -> None:
    assert codes(kill(selector)) == expected


def test_a_flag_may_be_as_wide_as_it_likes() -> None:
    assert codes("    - makeRedFlag: {severity: low, processSelector: {matchFields: {name: '*'}}}\n") == []


def test_not_in_is_fine_where_the_policy_asks_for_the_key() -> None:
    head = HEAD.replace("{matchFields: {name: demo-cluster}}", "{matchFields: {name: '*', uid: u}}")
    selector = "clusterSelector: {matchFieldsExpressions: [{key: name, operator: NotIn, values: [a]}]}"
    assert codes(kill(selector), head) == []


def test_a_kill_that_says_its_policys_selectors_again_is_wide_and_one_that_narrows_them_is_not() -> None:
    head = HEAD.replace("demo-cluster}}", "'demo-*'}}")
    assert codes(kill("clusterSelector: {name: 'demo-*'}"), head) == ["SR803"]
    assert codes(kill("clusterSelector: {name: demo-test}"), head) == []
    narrower = "clusterSelector: {matchFieldsExpressions: [{key: name, operator: NotIn, values: [demo-a]}]}"
    assert codes(kill(narrower), head) == []
    assert codes(kill(narrower.replace("demo-a", "staging")), head) == ["SR803"]


def test_what_is_not_in_force_is_left_alone() -> None:
    wide = kill("processSelector: {matchFields: {name: '*'}}")
    assert codes(wide.replace("        proc", "        enabled: false\n        proc"), HEAD) == []
    assert codes(wide, HEAD.replace("mode: enforce", "mode: enforce\n  enabled: false")) == []


def test_a_contradiction_is_placed_at_the_clause_that_makes_it() -> None:
    actions = kill("clusterSelector: {matchFields: {name: other}}")
    (found,) = lint(read_text(HEAD + actions))
    assert (found.code, found.location.line) == ("SR806", 12)
    assert "contradicts the one in line 6:" in found.message


def test_a_kill_that_a_wider_kill_makes_needless() -> None:
    actions = kill("processSelector: {matchFields: {exe: /bin/a}}") + kill(
        "processSelector: {matchFields: {exe: /bin/*}}", "agentKillProcessTree"
    )
    assert codes(actions) == ["SR809"]


def test_the_same_twice_is_said_once() -> None:
    assert codes(kill("processSelector: {matchFields: {name: nc}}") * 2) == ["SR810"]


def test_a_renice_is_held_against_what_it_may_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    renice = kill("priority: '5'\n        processSelector: {matchFields: {name: n}}", "agentReniceProcess")
    for exact, expected in (("n", ["SR811"]), ("m", [])):
        assert codes(renice + kill(f"processSelector: {{matchFields: {{name: {exact}}}}}")) == expected
    assert codes(renice + kill("processSelector: {matchFields: {exe: /bin/n}}")) == ["SR816"]
    # Of a policy with more pairs than can be looked at nothing false is said, and `analyze` owns up to it.
    monkeypatch.setattr(answers, "MAX_PAIRS", 1)
    actions = renice + kill("processSelector: {matchFields: {name: n}}")
    assert codes(actions) == []
    analysis = answers.Analysis(spyderresp.loads(HEAD + actions))
    assert [answer.kind for answer in analysis.answers()] == ["not-decided"]


def test_a_service_of_the_policy_and_a_pod_of_the_action() -> None:
    head = HEAD.replace("type: cluster", "type: linux-service").replace(
        "  rulesets: []\n", "  serviceSelector: {matchFields: {cgroup: 'systemd:/a'}}\n"
    )
    found = codes(kill("podSelector: {matchLabels: {app: a}}"), head)
    assert [code for code in found if code > "SR800"] == ["SR808"]


def test_a_policy_whose_selectors_contradict_each_other_still_decides_what_names_it() -> None:
    head = HEAD.replace(
        "{matchFields: {name: demo-cluster}}",
        "{matchFields: {name: a}, matchFieldsExpressions: [{key: name, operator: NotIn, values: [a]}]}",
    )
    flag = "    - makeRedFlag: {severity: low, processSelector: {name: nc}}\n"
    (found,) = lint(read_text(head + flag))
    assert (found.code, "except events that name the policy" in found.message) == ("SR807", True)
    policies = spyderresp.loads(head + flag)
    (answer,) = answers.Analysis(policies).useless()
    assert (answer.kind, answer.event) == ("attributed-only", {"policy_name": "demo", "process": {"name": "nc"}})
    assert len(spyderresp.Engine(policies).evaluate(answer.event)) == 1


@pytest.mark.parametrize("quote", ["'", '"', ""])
def test_markdown_over_several_lines_is_folded_however_it_is_quoted(quote: str) -> None:
    text = f"{quote}Do this\n          1. ask\n          2. wait{quote}"
    actions = kill("processSelector: {matchFields: {name: nc}}", "makeRedFlag") + (
        f"        severity: low\n        content: {text}\n"
    )
    assert codes(actions) == ["SR812"]


@pytest.mark.parametrize(
    "text",
    [
        "|\n          # A\n          1. ask",
        "one line - no list",
        "'a\n\n          1. b'",
        "folded prose\n          goes on",
        # A dash, a number or a channel's name where a line of prose was broken.
        "a shell of a server\n          - which never does so - and was\n          stopped",
        ">\n          ask in the channel\n          #security or\n          call",
        ">\n          they had seen it before, in the year\n          12. It was not nice",
    ],
)
def test_what_keeps_its_lines_or_needs_none_is_fine(text: str) -> None:
    actions = kill("processSelector: {matchFields: {name: nc}}", "makeRedFlag") + (
        f"        severity: low\n        content: {text}\n"
    )
    assert codes(actions) == []


@pytest.mark.parametrize(
    "text",
    [">\n          Steps:\n          - one", "Ask\n          - a\n          - b", ">\n          # A\n          b"],
)
def test_markdown_needs_two_items_or_what_leads_on_to_one(text: str) -> None:
    actions = kill("processSelector: {matchFields: {name: nc}}", "makeRedFlag") + (
        f"        severity: low\n        content: {text}\n"
    )
    assert codes(actions) == ["SR812"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[a-z]", ["SR815"]),
        ("[0-9a-f]", ["SR815"]),
        ("[x-1]", []),
        ("[kube-proxy]", []),
        ("[a]", []),
    ],
)
def test_a_list_that_looks_like_a_glob(value: str, expected: list[str]) -> None:
    assert (
        codes(f"    - makeRedFlag: {{severity: low, processSelector: {{matchFields: {{name: {value}}}}}}}\n")
        == expected
    )


def test_errors_do_not_hide_what_else_there_is_to_say(tmp_path: Path) -> None:
    wide = kill("processSelector: {matchFields: {name: '*'}}")
    (tmp_path / "a.yaml").write_text(HEAD + wide)
    (tmp_path / "b.yaml").write_text(HEAD + wide.replace("processSelector", "procesSelector"))
    assert [item.code for item in lint(read(tmp_path))] == ["SR803", "SR314"]


def test_the_reference_has_the_mistakes_it_is_known_for(corpus: Path) -> None:
    found = lint(read(corpus / "corpus/reference"))
    assert not [item for item in found if item.level == "error"]
    warned = [(Path(item.location.path).name[:3], item.code) for item in found if item.level == "warning"]
    repairs = [pair for pair in warned if CODES[pair[1]].repair]
    assert repairs == [("S02", "SR401"), ("S02", "SR402"), ("S03", "SR401"), ("S03", "SR402"), ("S12", "SR403")]
    # All are called `demo`; the rest is as the page writes it.
    assert [pair for pair in warned if pair not in repairs and pair[1] != "SR451"] == [
        ("S02", "SR812"),
        ("S03", "SR812"),
        *((name, "SR802") for name in ("S05", "S07", "S09", "S11")),
    ]


def test_the_vendors_policies_raise_no_alarm(corpus: Path) -> None:
    found = lint(read(corpus / "corpus/vendor_policies"))
    assert {item.code for item in found if item.level == "warning"} == {"SR404"}


def test_what_the_vendor_refuses_is_at_least_noted(corpus: Path) -> None:
    rows = [line.split("\t") for line in (corpus / "corpus/bad_inputs/EXPECT.tsv").read_text().splitlines()[1:]]
    silent = [
        name
        for name, expected, vendor in rows
        if expected == "accept"
        and vendor == "REJECT"
        and not lint(read(corpus / "corpus/bad_inputs" / name), portable=True)
    ]
    assert silent == []


@given(policy_sets())
def test_any_policy_can_be_looked_at(held: list[dict[str, object]]) -> None:
    reading = read_text(json.dumps(held))
    for item in lint(reading):
        assert item.code in CODES
        assert item.location.line > 0 or not held
    assert reading.findings.errors or spyderresp.loads(json.dumps(held)).policies == reading.policies
