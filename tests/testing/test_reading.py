"""Test files: every fault is found in one pass, with its place and a fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spyderresp.authoring.testing import find
from spyderresp.authoring.testing.suite_files import merged, read
from spyderresp.policies.diagnostics import Findings, Source

HEAD = "apiVersion: spyderresp/v1\nkind: ResponseTest\npolicies: p\n"
FAULTS = """\
apiVersion: spyderresp/v1
kind: ResponseTest
polices: p
defaults: allways
tests:
- name: one
  event: {process: {name: bash}}
  expect:
    plan: exact
    non_of: [agentKillPod]
    actions:
    - {acton: agentKillPod}
    - {action: agentKillPod, disposition: executed, index: x}
    - {action: agentReniceProcess, parameters: {priority: low, severty: high}}
    - {}
- name: one
  events: []
  event: {}
  expect: {}
- file: gone.jsonl
  line: 0
  expects: []
- name: contained
  event: {}
  expect: {plan: contains, actions: []}
  rows:
  - {name: a, with: x}
  - {name: a}
- name: no plan
  event: {}
  expect: {error: x, actions: []}
- text
"""


def found(text: str, path: str = "t.yaml") -> list[tuple[int, int, str, str, str]]:
    findings = Findings()
    read(Source(path, text), findings)
    return [(i.location.line, i.location.column, i.code, i.message, i.help) for i in findings.items]


def test_every_fault_in_one_pass(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert found(FAULTS) == [
        (1, 1, "SR702", "the document has no `policies`", ""),
        (3, 1, "SR701", "unknown key `polices` in the document", "did you mean `policies`?"),
        (4, 11, "SR705", "unknown value `allways` of `defaults`", "did you mean `always`?"),
        (9, 11, "SR705", "unknown value `exact` of `plan`", "did you mean `exactly`?"),
        (10, 5, "SR701", "unknown key `non_of` in `expect`", "did you mean `none_of`?"),
        (12, 8, "SR701", "unknown key `acton` in an expected action", "did you mean `action`?"),
        (13, 43, "SR705", "unknown value `executed` of `disposition`", "did you mean `execute`?"),
        (13, 60, "SR703", "`index` must be an integer, not `x`", ""),
        (14, 59, "SR703", "`priority` must be an integer, not `low`", ""),
        (14, 64, "SR701", "unknown key `severty` in `parameters`", "did you mean `severity`?"),
        (15, 7, "SR709", "every action matches this one", "give its `action`, or another key"),
        (16, 9, "SR708", "an earlier test is also named `one`", "rename one of the two"),
        (18, 3, "SR706", "a test has one of `event`, `events`, `file`; this one has 2", ""),
        (19, 11, "SR709", "nothing is expected, so this cannot fail", "`actions: []` expects an empty plan"),
        (20, 3, "SR702", "a test has no `name`", ""),
        (20, 3, "SR702", "the test has no `expect`", ""),
        (20, 9, "SR707", "there is no file `gone.jsonl`", "there is no file of events in `.`"),
        (22, 3, "SR701", "unknown key `expects` in a test", "did you mean `expect`?"),
        (
            25,
            28,
            "SR709",
            "every plan contains an empty list of actions",
            "`plan: exactly` expects a plan without actions",
        ),
        (27, 21, "SR111", "`with` must be a mapping: the changes of this row to the event of the test", ""),
        (28, 12, "SR708", "an earlier test is also named `a`", "rename one of the two"),
        (31, 22, "SR709", "an event with an error has no plan", "delete one of the two"),
        (32, 3, "SR111", "a test must be a mapping, not a text", ""),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("tests: []\n", "SR709"),
        ("tests: {}\n", "SR112"),
        ("tests:\n", "SR110"),
        ("", "SR702"),
        ("tests: [{name: a, events: [], expect: []}]\n", "SR709"),
        ("tests: [{name: a, event: {}, expect: [], rows: []}]\n", "SR709"),
        ("tests: [{name: a, event: {}, rows: [{}]}]\n", "SR702"),
        ("tests: [{name: a, event: {}, expect: {plan: whole}}]\n", "SR709"),
        ("tests: [{name: a, event: {}, expect: {none_of: []}}]\n", "SR709"),
        ("tests: [{name: a, event: {}, expect: {actions: }}]\n", "SR110"),
        ("tests: [{name: a, event: {}, line: 3, expect: []}]\n", "SR706"),
        ("tests: [{name: a, event: {}, expect: {attribution: mached}}]\n", "SR705"),
        ("tests: [{name: a, event: {}, form: falcon, expect: []}]\n", "SR705"),
        ("policies: q\n", "SR012"),
        ("tests: [\n", "SR007"),
    ],
)
def test_each_fault_alone(text, code):
    assert [item[2] for item in found(HEAD + text)] == [code]


def test_a_document_that_nearly_is_one_is_not_passed_over():
    assert found("apiVersion: spyderresp/v1\nkind: ResponseTests\n")[0][2:] == (
        "SR710",
        "`kind` of a policy test must be `ResponseTest`, not `ResponseTests`",
        "write `ResponseTest`",
    )
    assert found("apiVersion: spyderbat/v1\nkind: ResponseTest\n")[0][:3] == (1, 13, "SR710")
    assert found("kind: ResponseTest\n")[0][:3] == (1, 1, "SR710")
    assert found("kind: Deployment\napiVersion: apps/v1\n# ResponseTest\n") == []
    assert found("- ResponseTest\n") == []


def suite(text: str):
    findings = Findings()
    (suite,) = read(Source("tests/t.yaml", HEAD + text), findings)
    assert not findings.items, list(map(str, findings.items))
    return suite


def test_events_are_json_data_as_written():
    (case,) = suite("""\
tests:
- name: a
  event:
    process: {pid: &p 4242, ppid: *p, name: "7", exe: 007, euser: no, start_time: 1.5e3, uid: ~}
    pod: {labels: {on: true, t: !!str 5, "7": '8'}}
    x: [1, -0, null, 12:30, 1_000]
  expect: []
""").cases
    assert case.events[0].event == {
        "process": {
            "pid": 4242,
            "ppid": 4242,
            "name": "7",
            "exe": "007",
            "euser": "no",
            "start_time": 1500.0,
            "uid": None,
        },
        "pod": {"labels": {"on": True, "t": "5", "7": "8"}},
        "x": [1, 0, None, "12:30", "1_000"],
    }


def test_paths_start_at_the_file():
    read = suite("tests: [{name: a, event: {}, expect: []}]\nname: x\nmode: audit\nstrict: yes\n")
    assert (read.policies, read.name, read.options.mode, read.options.strict) == (("tests/p",), "x", "audit", True)


def test_files_of_events(place):
    Path("tests/e.json").write_text('[{"id": 1}, 7]')
    Path("tests/one.json").write_text('{"id": 1}')
    Path("tests/e.jsonl").write_text('\n{"id": 1}\nnot json\n')
    Path("tests/t.yaml").write_text(
        HEAD
        + """\
tests:
- {name: list, file: e.json, expect: []}
- {name: one, file: one.json, expect: []}
- {name: lines, file: e.jsonl, expect: []}
- {name: line, file: e.jsonl, line: 3, expect: []}
"""
    )
    found = find(["tests"])
    assert not found.diagnostics
    (read,) = found.suites
    assert read.inputs == ("tests/e.json", "tests/one.json", "tests/e.jsonl")
    said = [[(e.label, e.event, str(e.error or "")) for e in case.events] for case in read.cases]
    assert said[:2] == [
        [("e.json[0]", {"id": 1}, ""), ("e.json[1]", None, "the record must be a mapping, not a number")],
        [("", {"id": 1}, "")],
    ]
    assert [(label, event) for label, event, _ in said[2]] == [("e.jsonl:2", {"id": 1}), ("e.jsonl:3", None)]
    assert said[3][0][2].startswith("not valid JSON")
    Path("tests/t.yaml").write_text(HEAD + "tests: [{name: line, file: e.jsonl, line: 1, expect: []}]\n")
    assert [str(item) for item in find(["tests"]).diagnostics] == [
        "tests/t.yaml:4:43: error[SR707]: there is no event in line 1 of `tests/e.jsonl`"
    ]


def test_rows_are_merged_like_json_patches():
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": "x"}
    assert merged(base, {"a": {"c": {"d": None, "g": 3}}, "e": {"h": None, "i": 4}, "f": None}) == {
        "a": {"b": 1, "c": {"g": 3}},
        "e": {"i": 4},
    }
    assert base == {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": "x"}


def test_a_file_counts_once_and_others_are_passed_over(place):
    Path("tests/t.yaml").write_text(HEAD + "tests: [{name: a, event: {}, expect: []}]\n---\nkind: Deployment\n")
    Path("tests/other.yaml").write_text("{{ not yaml }} at all: [")
    Path("tests/bad.yaml").write_text("kind: ResponseTest\nx: [")
    found = find(["tests", "tests/t.yaml", "policies"])
    assert found.files == ("tests/bad.yaml", "tests/t.yaml")
    assert found.empty == ("policies",)
    assert [item.code for item in found.diagnostics] == ["SR007"]
    assert len(found.suites) == 1


def test_lists_of_documents(place):
    test = {"apiVersion": "spyderresp/v1", "kind": "ResponseTest", "policies": "p", "tests": [
        {"name": "a", "event": {}, "expect": []}
    ]}  # fmt: skip
    findings = Findings()
    assert len(read(Source("t.json", json.dumps([test, test, {"kind": "x"}, 7])), findings)) == 2
    assert len(read(Source("t.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": [test]})), findings)) == 1
    assert not findings.items
    assert read(Source("t.json", json.dumps([test | {"polices": 1}])), findings)
    assert [item.code for item in findings.items] == ["SR701"]
    items = json.dumps(test | {"items": []})
    assert read(Source("t.json", items), findings)
    assert [item.message for item in findings.items[1:]] == ["unknown key `items` in the document"]


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ("{namespce: {name: a}}", [("namespce", "the event", "namespace")]),
        (
            "{process: {nmae: a, Exe: /a, user: root}}",
            [("nmae", "process", "name"), ("Exe", "process", "exe"), ("user", "process", "euser")],
        ),
        ("{pod: {name: a, lables: {app: web}}}", [("lables", "pod", "labels")]),
        (
            "{policyUid: a, machine: {hostName: b}}",
            [("policyUid", "the event", "policy_uid"), ("hostName", "machine", "hostname")],
        ),
        # What is the author's own is carried along.
        ("{severity: 3, process: {args: [a], euid: 0, exec: b, tty: c}, pod: {labels: {nmae: a}}}", []),
        ("{process: {name: a, names: b}}", []),
        # Other forms have other keys.
        ("{schema: 'model_process::1.0', nmae: a}", []),
    ],
)
def test_a_misspelt_key_of_an_event_is_found_where_it_is_written(event: str, found: list[tuple[str, str, str]]) -> None:
    said = [
        (
            f"unknown key `{key}` in {where if where == 'the event' else f'`{where}` of the event'}",
            f"did you mean `{near}`?",
        )
        for key, where, near in found
    ]
    for written in (f"event: {event}", f"events: [{event}]"):
        text = f"{HEAD}tests:\n- name: a\n  {written}\n  expect: []\n"
        findings = Findings()
        read(Source("t.yaml", text), findings)
        assert [(item.code, item.message, item.help) for item in findings.items] == [("SR701", *each) for each in said]
    if "schema" not in event:
        text = f"{HEAD}tests:\n- name: a\n  event: {{}}\n  expect: []\n  rows:\n  - with: {event}\n"
        findings = Findings()
        read(Source("t.yaml", text), findings)
        assert [(item.message, item.help) for item in findings.items] == said


def test_an_action_where_a_list_is_due() -> None:
    findings = Findings()
    read(Source("t.yaml", f"{HEAD}tests:\n- {{name: a, event: {{}}, expect: makeRedFlag}}\n"), findings)
    (found,) = findings.items
    assert found.message == "`expect` must be a list of actions or a mapping, not a text"
    assert found.help == "write `[makeRedFlag]`"
