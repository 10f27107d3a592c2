"""``spyderresp diff`` as its user sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recorded_files import KINDS, write_every_kind, write_texts_that_are_none

EVENT = '{"id": "%s", "cluster": {"name": "prod-1"}, "namespace": {}, "pod": {}, "process": {"exe": "%s"}}\n'

WHY = "did not fire: processSelector: exe In ['/bin/bash', '*/nc'], and it is '"


@pytest.fixture
def changed(place: Path) -> Path:
    """Policies of which one kills on more, and one is enforced."""
    text = Path("policies/production.yaml").read_text()
    Path("new").mkdir()
    Path("new/production.yaml").write_text(text.replace('"*/nc"', '"*/nc", "*/curl"'))
    Path("new/trial.yaml").write_text(Path("policies/trial.yaml").read_text())
    Path("more.jsonl").write_text(
        EVENT % ("curl", "/bin/curl") + '{"id": "bad", "process": 7}\n' + "{\n" + EVENT % ("more", "/usr/bin/curl")
    )
    return place


def test_what_is_gained_is_said_with_the_clause(run, changed):
    result = run("diff", "policies", "new", "--events", "more.jsonl")
    assert result.code == 1
    assert (
        result.out.replace(WHY, "%")
        == """\
production
  + gained agentKillProcessTree: now execute, 2 times  destructive
      by actions[0], new/production.yaml:16:7 (new)
      more.jsonl:1 event curl
        old: %/bin/curl' (policies/production.yaml:17:41)
      more.jsonl:4 event more
        old: %/usr/bin/curl' (policies/production.yaml:17:41)

2 events of 2 differ; 2 gained, 0 lost, 0 changed, 2 destructive; 2 bad events not compared
"""
    )
    assert result.err == (
        "more.jsonl:2: error: process: must be a mapping or null\n"
        "more.jsonl:3: error: not valid JSON: expecting property name enclosed in double quotes, line 1 column 2\n"
    )


def test_every_kind_of_file_comes_to_the_same(run, changed):
    write_every_kind()
    # What of these events' bash is killed is killed no more.
    Path("new/production.yaml").write_text(Path("policies/production.yaml").read_text().replace("/bin/bash", "/bin/sh"))
    found = []
    for kind in KINDS:
        result = run("diff", "policies", "new", "--events", f"kinds/{kind}", "--format", "json")
        assert (result.code, result.err) == (1, ""), kind
        found.append(json.loads(result.out.replace(f"kinds/{kind}", "FILE")))
    assert all(one == found[0] for one in found)
    assert (found[0]["events"], found[0]["different"], found[0]["lost"]) == (20, 20, 20)
    (change,) = found[0]["changes"]
    assert [(sample["id"], sample["line"]) for sample in change["samples"]] == [("e0", 1), ("e1", 2), ("e2", 3)]
    assert all("/bin/sh" in sample["reason"]["text"] for sample in change["samples"])
    whole = run("diff", "policies", "new", "--events", "kinds", "--events", "kinds/*.gz", "--format", "json")
    assert json.loads(whole.out)["events"] == 20 * (len(KINDS) + 1)


def test_a_bad_row_of_a_table_does_not_cost_its_batch(run, changed):
    names = pa.array([{"name": "prod-1"}] * 4)
    process = pa.array([{"exe": "/bin/curl"}] * 4)
    labels = pa.StructArray.from_arrays([pa.array([None, ["x"], None, ["y"]])], ["labels"])
    pods = pa.array([{"name": "p"}] * 4)
    columns = {"cluster": names, "process": process, "namespace": labels, "pod": pods, "id": pa.array(list("abcd"))}
    pq.write_table(pa.table(columns), "bad.parquet")
    result = run("diff", "policies", "new", "--events", "bad.parquet", "--format", "json")
    assert result.code == 1
    said = json.loads(result.out)
    assert (said["events"], said["bad"], said["gained"]) == (2, 2, 2)
    assert [sample["id"] for sample in said["changes"][0]["samples"]] == ["a", "c"]
    assert result.err == "".join(
        f"bad.parquet:{row}: error: namespace.labels: must be a mapping or null\n" for row in (2, 4)
    )


def test_exit_codes(run, changed):
    good = Path("good.jsonl")
    good.write_text(EVENT % ("curl", "/bin/curl"))
    for fail in ("any", "destructive"):
        assert run("diff", "policies", "new", "--events", "good.jsonl", "--fail-on", fail).code == 1
        assert run("diff", "policies", "policies", "--events", "good.jsonl", "--fail-on", fail).code == 0
        assert run("diff", "policies", "policies", "--events", "more.jsonl", "--fail-on", fail).code == 1
    # The kill is lost, which is a difference and destroys nothing.
    assert run("diff", "new", "policies", "--events", "good.jsonl").code == 1
    assert run("diff", "new", "policies", "--events", "good.jsonl", "--fail-on", "destructive").code == 0
    assert run("diff", "policies", "mixed.yaml", "--events", "good.jsonl").code == 2
    assert run("diff", "gone", "policies", "--events", "good.jsonl").code == 2
    assert run("diff", "policies", "new", "--events", "gone.jsonl").code == 3
    assert run("diff", "policies", "new", "--events", "-", "--events", "-").code == 3
    assert run("diff", "policies", "new", "--events", "good.jsonl", "--samples", "-1").code == 3
    assert run("diff", "policies").code == 3


def test_an_event_that_is_bad_by_one_set_only(run, changed):
    Path("new/trial.yaml").write_text(Path("new/trial.yaml").read_text().replace("name: bash", "euser: root"))
    result = run("diff", "policies", "new", "--events", "-", stdin='{"process": {"euser": 1}}')
    assert (result.code, result.err) == (
        1,
        "<stdin>:1: error: process.euser: must be a text or null, by the new policies only\n",
    )


def test_json(run, changed):
    result = run("diff", "policies", "new", "--events", "more.jsonl", "--format", "json", "--samples", "1")
    said = json.loads(result.out)
    assert (said["events"], said["bad"], said["different"], said["gained"], said["destructive"]) == (2, 2, 2, 2, 2)
    (change,) = said["changes"]
    assert (change["kind"], change["action"], change["old"], change["new"]) == (
        "gained",
        "agentKillProcessTree",
        None,
        "execute",
    )
    assert (change["policy"], change["section"], change["index"], change["count"]) == ("production", "actions", 0, 2)
    (sample,) = change["samples"]
    assert (sample["id"], sample["source"], sample["line"], sample["reason"]["set"]) == ("curl", "more.jsonl", 1, "old")


def test_rows_that_hold_no_text_are_named_where_they_are_looked_at(run, changed):
    write_texts_that_are_none("bad.parquet")
    Path("new/production.yaml").write_text(Path("policies/production.yaml").read_text().replace("/bin/bash", "/bin/x"))
    result = run("diff", "policies", "new", "--events", "bad.parquet", "--format", "json")
    assert result.code == 1
    assert (json.loads(result.out)["events"], json.loads(result.out)["bad"]) == (2, 2)
    assert result.err == "".join(f"bad.parquet:{row}: error: a text is not valid UTF-8\n" for row in (2, 4))


def test_a_mode_that_changes(run, changed):
    Path("new/trial.yaml").write_text(Path("new/trial.yaml").read_text().replace("mode: audit", "mode: enforce"))
    result = run("diff", "policies", "new", "--events", "events.jsonl")
    assert "  ~ changed agentKillProcess: was superseded, now superseded" not in result.out
    assert "  ~ changed agentReniceProcess priority=10: was audit, now execute, 2 times\n" in result.out
    assert "new: the policy's mode was audit and is enforce (new/trial.yaml:1:1)" in result.out


def test_without_events(run, changed):
    result = run("diff", "policies", "new")
    assert (result.code, result.err) == (1, "")
    first, places, way, what, _, total = result.out.splitlines()
    assert first == "production: actions[0] agentKillProcessTree: changed  destructive"
    assert places == "    policies/production.yaml:16:7 -> new/production.yaml:16:7"
    assert way.startswith("  + does more, such as {")
    assert json.loads(way.partition("such as ")[2])["process"]["exe"] == "/curl"
    assert what == "      gained agentKillProcessTree: now execute"
    assert total == "1 difference, 1 destructive"
    assert run("diff", "policies", "new", "--fail-on", "destructive").code == 1
    assert run("diff", "new", "policies", "--fail-on", "destructive").code == 0
    assert run("diff", "new", "policies").code == 1
    assert run("diff", "new", "new").out == "no event is decided differently\n"
    said = json.loads(run("diff", "new", "policies", "--format", "json").out)
    (entry,) = said["entries"]
    assert (entry["destructive"], entry["ways"][0]["does"]) == (False, "less")
    assert "**destructive**, changed" in run("diff", "policies", "new", "--format", "markdown").out
    assert run("diff", "policies").code == 3


HOSTILE = "a`|b\n# <img src=x onerror=alert(1)> [x](http://evil) @team #1 *b* www.evil.org \u202e\\|</code>\x1b[31m"


def test_markdown_is_harmless(run, changed):
    document = {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": HOSTILE, "type": "cluster"},
        "spec": {
            "mode": "enforce",
            "clusterSelector": {"name": "*"},
            "response": {
                "default": [{"makeRedFlag": {"severity": "high", "content": HOSTILE}}],
                "actions": [{"agentKillProcess": {"processSelector": {"name": HOSTILE.replace("[", "")}}}],
            },
        },
    }
    Path("evil.json").write_text(json.dumps(document))
    event = {"id": HOSTILE, "cluster": {"name": "c"}, "process": {"name": HOSTILE.replace("[", "")}}
    result = run("diff", "good.yaml", "evil.json", "--events", "-", "--format", "markdown", stdin=json.dumps(event))
    assert result.code == 1
    assert "**destructive**, gained" in result.out
    table = [line for line in result.out.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {8}
    meant = run("diff", "good.yaml", "evil.json", "--format", "markdown").out
    assert {line.count("|") for line in meant.splitlines() if line.startswith("|")} == {8}
    assert "alert" in meant
    outside = re.sub(r"<code>[^<>]*</code>", "", result.out + meant)
    assert not re.search(r"[`@\x1b\u202e\\]|evil|http|#1|<(?!/?(details|summary)>)", outside)
    for inside in re.findall(r"<code>([^<>]*)</code>", result.out + meant):
        assert not re.search(r"[`|*@\\\[<>]|(?<!&)#|://|www\.", inside)
    shown = run("diff", "good.yaml", "evil.json", "--events", "-", stdin=json.dumps(event)).out
    shown += run("diff", "good.yaml", "evil.json").out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
