"""`journal show`, `journal verify` and `undo`."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from journals import Shelf, kill, outcome
from turned import Turned

import spyderresp
from spyderresp import executors
from spyderresp.execution.interfaces import DeliveryError
from spyderresp.execution.report import Result
from spyderresp.execution.steps import Step
from spyderresp.executors import Recording
from spyderresp.guards import Guard, Limits
from spyderresp.journal import Journal, JournalReader, verify

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/CLI.md").read_text("utf-8")
AGENTS = frozenset({"agentReniceProcess", "agentKillProcess", "agentKillProcessTree", "agentKillPod"})


@pytest.fixture
def path(run, monkeypatch) -> Path:
    """The journal of the examples, as a service wrote it that was cut off; we stand where it is."""
    path = Path("journal.sqlite").resolve()
    with write(path, policies()) as journal:
        journal.begin([kill("0123456789abcdef")])
    return path


def write(path: Path, policies: spyderresp.PolicySet) -> Journal:
    engine = spyderresp.Engine(policies)
    turned = Turned(datetime.fromisoformat("2026-11-24T01:05:10+00:00").timestamp())
    guard = Guard(clock=turned.clock(), kill_switch=None, limits=Limits(warm_up=1))
    hands = [Recording(name="local", actions=AGENTS), Shelf("flags")]
    journal = Journal(path, clock=turned.clock())
    journal.record_policies(policies.digest, ["examples/policies"], policies=len(policies))
    for line in (ROOT / "examples/events.jsonl").read_text().splitlines():
        event = json.loads(line)
        spyderresp.execute(engine.evaluate(event), hands, guard, journal, event=event)
    return journal


def policies() -> spyderresp.PolicySet:
    """The examples', whose places are told as they are from the root."""
    texts = sorted((ROOT / "examples/policies").glob("*.yaml"))
    return spyderresp.loads("---\n".join(text.read_text() for text in texts))


@pytest.fixture
def documented(path, monkeypatch) -> Path:
    path.unlink()
    monkeypatch.chdir(ROOT)
    policies = spyderresp.load("examples/policies")
    monkeypatch.chdir(path.parent)
    write(path, policies).close()
    return path


def masked(text: str) -> str:
    return re.sub(r"[0-9a-f]{64}", "DIGEST", text)


@pytest.mark.parametrize(
    ("heading", "arguments"),
    [
        ("journal", ("journal", "show", "journal.sqlite", "--event", "e5")),
        ("journal", ("journal", "verify", "journal.sqlite")),
        ("undo", ("undo", "journal.sqlite")),
    ],
)
def test_documented_output_is_real(documented, run, heading, arguments):
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    shown = section.split(f"$ spyderresp {' '.join(arguments)}\n")[1].split("```")[0]
    result = run(*arguments)
    assert (result.code, result.err) == (0, "")
    assert masked(result.out) == masked(shown)


def test_show_tells_of_every_step_once_and_of_open_ones_last(path, run):
    result = run("journal", "show", str(path))
    assert (result.code, result.err) == (0, "")
    lines = [line for line in result.out.splitlines() if not line.startswith(" ")]
    assert [line[22:36].strip() for line in lines] == [
        "start",
        "policies",
        *("done", "done", "expired", "superseded"),
        "done",
        *("done", "expired"),
        *("audit", "audit"),
        *("done", "done", "done"),
        "stop",
        "open",
    ]
    assert "the event happened 187 s ago; agent actions are taken within 60 s" in result.out
    assert "every policy that asked for it is in audit mode" in result.out


def test_show_filters_by_event_policy_and_time(path, run):
    def statuses(*options):
        result = run("journal", "show", str(path), *options)
        assert result.code == 0
        return [line[22:36].strip() for line in result.out.splitlines() if not line.startswith(" ")]

    assert statuses("--event", "e4") == ["audit", "audit"]
    assert statuses("--event", "e3", "--policy", "production-cluster") == ["done", "expired"]
    assert statuses("--policy", "web-containers") == ["done", "superseded", "done", "done", "done"]
    assert statuses("--policy", "web") == []
    assert statuses("--since", "2026-11-24T01:05:11Z") == []
    assert len(statuses("--since", "2026-11-24T01:05:10Z")) == 16
    result = run("journal", "show", str(path), "--since", "soon")
    assert result.code == 3
    assert "`soon` is not a time" in result.err


def test_show_as_json_is_every_entry(path, run):
    result = run("journal", "show", "--format", "json", str(path))
    said = [json.loads(line) for line in result.out.splitlines()]
    with JournalReader(path) as reader:
        assert [item["seq"] for item in said] == [entry.seq for entry in reader.entries()]
        assert [item["body"] for item in said] == [entry.body for entry in reader.entries()]
        assert said[-1]["hash"] == reader.head[1]
    events = run("journal", "show", "--format", "json", "--event", "e4", str(path)).out.splitlines()
    assert [json.loads(line)["kind"] for line in events] == ["settled", "settled"]


def test_an_entry_that_cannot_be_read_is_named_and_the_others_are_shown(path, run):
    before = run("journal", "show", str(path)).out
    connection = sqlite3.connect(path)
    connection.execute("UPDATE entries SET body = '[]' WHERE kind = 'policies'")
    connection.commit()
    connection.close()
    result = run("journal", "show", str(path))
    assert result.code == 0
    shown = "entry 2 cannot be read; `spyderresp journal verify` gives details\n"
    assert result.out == re.sub(r".*  policies .*\n", shown, before)
    said = [json.loads(line) for line in run("journal", "show", "--format", "json", str(path)).out.splitlines()]
    assert [item["body"] for item in said if item["kind"] == "policies"] == ["[]"]


def test_a_refusal_of_an_open_step_leaves_it_open(path, run):
    with Journal(path) as journal:
        journal.finish([outcome("0123456789abcdef", "expired")])
    lines = [line for line in run("journal", "show", str(path)).out.splitlines() if not line.startswith(" ")]
    assert [line[22:36].strip() for line in lines[-4:]] == ["start", "expired", "stop", "open"]


def test_show_goes_through_segments_and_says_what_it_can_without_them(path, run):
    with Journal(path) as journal:
        journal.rotate()
        journal.settle([outcome("0123456789abcdef", "already")])
    assert "already       agentKillProcess process" in run("journal", "show", str(path)).out
    Path("journal.0001.sqlite").unlink()
    result = run("journal", "show", str(path))
    assert "already       agentKillProcess for event event of 0123456789abcdef" in result.out
    assert "done" not in result.out


def test_dead_letters_and_jumps_are_told(tmp_path, run, caplog):
    path = tmp_path / "other.sqlite"
    turned = Turned()
    bad = Shelf("bad")
    bad.error = DeliveryError("\x1b[31mno", permanent=True)
    with Journal(path, clock=turned.clock()) as journal:
        turned.wall += 100
        plan = spyderresp.Engine(policies()).evaluate(
            json.loads((ROOT / "examples/events.jsonl").read_text().splitlines()[0])
        )
        spyderresp.execute(plan, bad, Guard(kill_switch=None), journal)
    out = run("journal", "show", str(path)).out
    assert "the wall clock jumped by +100.0 s" in out
    assert "`bad` rejected flag" in out
    assert "\\x1b[31mno" in out
    assert "\x1b" not in out + caplog.text


def test_verify_exits_with_1_where_something_was_altered(path, run):
    assert run("journal", "verify", str(path)).code == 0
    noted = json.loads(run("journal", "verify", "--format", "json", str(path)).out)
    assert noted["ok"]
    assert run("journal", "verify", "--expect", noted["head"]["digest"], str(path)).code == 0
    assert run("journal", "verify", "--expect", "0" * 64, str(path)).code == 1
    connection = sqlite3.connect(path)
    connection.execute('UPDATE entries SET body = \'{"outcome":"done"}\' WHERE seq = 5')
    connection.commit()
    connection.close()
    result = run("journal", "verify", str(path))
    assert result.code == 1
    assert (
        result.out
        == f"{path}: error: entry 5 was altered or moved: its digest does not follow from what stands there\n"
    )
    said = json.loads(run("journal", "verify", "--format", "json", str(path)).out)
    assert said["problems"] == ["entry 5 was altered or moved: its digest does not follow from what stands there"]
    assert not said["ok"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "gone.sqlite"),
        ("verify", "gone.sqlite"),
        ("verify", "good.yaml"),
        ("shwo", "journal.sqlite"),
        ("verify", "journal.sqlite", "--event", "e1"),
        ("show", "journal.sqlite", "--archived"),
        ("show",),
        (),
    ],
)
def test_wrong_usage_and_what_is_no_journal(path, run, arguments):
    result = run("journal", *arguments)
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith("spyderresp journal: error: ")


class Host:
    """Stands in for the executor of this machine."""

    def __init__(self, machine: str) -> None:
        self.name = "local"
        self.machine = machine
        self.undone: list[tuple[str, Mapping[str, Any]]] = []
        self.answer = Result("done", "put back")

    def undo(self, step: Step, details: Mapping[str, Any]) -> Result:
        self.undone.append((step.action, details))
        return self.answer


@pytest.fixture
def host(monkeypatch) -> Host:
    host = Host("node-7")
    monkeypatch.setattr(executors, "LocalHost", lambda machine: host, raising=False)
    return host


def test_undo_takes_a_renice_back_once_while_the_service_writes(path, run, host):
    key = run("undo", str(path)).out.split()[0]
    with Journal(path):
        assert run("undo", str(path), key).code == 3
        result = run("undo", str(path), key, "--machine", "node-7")
        assert (result.code, result.err) == (0, "")
        assert re.match(r"20..-..-..T..:..:..Z  done          undo of step", result.out)
        again = run("undo", str(path), key, "--machine", "node-7")
        assert again.code == 0
        assert "duplicate" in again.out
    assert host.undone == [("agentReniceProcess", {})]
    assert ", undone 20" in run("undo", str(path)).out
    assert "undo of step" in run("journal", "show", str(path)).out
    assert verify(path).ok


def test_an_undo_that_failed_may_be_tried_again(path, run, host):
    key = run("undo", str(path)).out.split()[0]
    host.answer = Result("failed", "no permission")
    for _ in range(2):
        assert run("undo", str(path), key, "--machine", "node-7").code == 1
    host.answer = Result("done")
    assert run("undo", str(path), key, "--machine", "node-7").code == 0
    assert len(host.undone) == 3
    assert "duplicate" in run("undo", str(path), key, "--machine", "node-7").out
    assert len(host.undone) == 3


def test_an_undo_that_was_cut_off_may_be_tried_again_after_a_while(path, run, host, monkeypatch):
    key = run("undo", str(path)).out.split()[0]

    class Cut(BaseException):
        pass

    def cut(*_: object) -> Result:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(host, "undo", cut)
        with pytest.raises(Cut):
            run("undo", str(path), key, "--machine", "node-7")
    assert "it is being taken back" in run("undo", str(path), key, "--machine", "node-7").out
    connection = sqlite3.connect(path)
    connection.execute("UPDATE keys SET began = began - 61 WHERE ended IS NULL")
    connection.commit()
    connection.close()
    assert run("undo", str(path), key, "--machine", "node-7").code == 0
    assert len(host.undone) == 1


def test_what_cannot_be_undone_is_said(path, run, host, tmp_path):
    for key, said in (("ffffffffffff", "no renice in this journal"), ("2a", "too short to name one step")):
        result = run("undo", str(path), key, "--machine", "node-7")
        assert (result.code, result.out) == (3, "")
        assert said in result.err
    Journal(tmp_path / "empty.sqlite").close()
    assert run("undo", str(tmp_path / "empty.sqlite")).err == "there is no renice in this journal\n"
    assert run("undo", "gone.sqlite").code == 3
    assert host.undone == []
