"""``spyderresp run`` as a program: its ends, its signals, its output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from service.conftest import line, put

import spyderresp

EVENTS = ("--policies", "policy.yaml", "--events", "events.jsonl")


@pytest.fixture
def events(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1) + line(2, "fine") + line(3))
    return path


def test_a_file_is_read_to_its_end(start, events):
    program = start(*EVENTS)
    assert program.end() == 0
    assert [flag["severity"] for flag in program.flags] == ["high", "high"]
    assert [text.partition(": ")[0] for text in program.err] == ["events.jsonl:1", "events.jsonl:3", "spyderresp"]
    assert "dry_run agentKillProcess: would kill process 1 `evil`" in program.err[0]
    assert program.err[-1] == "spyderresp: 3 events decided, 2 done, 2 dry_run"


def test_bad_events_are_named_and_exit_with_1(start, events):
    events.write_bytes(b"{\n" + line(2) + line(3, process={"name": 5}) + b"[1]")
    program = start(*EVENTS, "--log", "quiet")
    assert program.end() == 1
    assert len(program.flags) == 1
    assert [text.split(": error: ")[0] for text in program.err] == [f"events.jsonl:{n}" for n in (1, 3, 4)]
    assert "process.name" in program.err[1]


def test_json_log(start, events):
    events.write_bytes(line(1, "evil\x1b[31m\u202e") + line(2) + b"{")
    program = start(*EVENTS, "--log", "json")
    assert program.end() == 1
    said = [json.loads(text) for text in program.err]
    assert [item.get("event") for item in said] == ["outcome", "bad", None]
    assert said[0]["outcome"] == "dry_run"
    assert said[1]["line"] == 3
    assert all(text.isascii() for text in program.err)


def test_hostile_names_do_not_reach_the_terminal(start, events):
    events.write_bytes(line(1, process={"name": "evil", "exe": "\x1b[31m\u202e\n", "pid": 1}))
    program = start(*EVENTS)
    assert program.end() == 0
    assert "\\x1b[31m\\u202e\\n" in program.err[0]
    assert len(program.err) == 2


def test_stdin_is_answered_as_it_comes(start, until):
    program = start("--policies", "policy.yaml", stdin=subprocess.PIPE)
    pipe = program.process.stdin
    for number in range(3):
        pipe.write(line(number))
        pipe.flush()
        until(lambda number=number: len(program.out) == number + 1)
    pipe.close()
    assert program.end() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it(start, events, until, number, code):
    program = start(*EVENTS, "--follow")
    until(lambda: len(program.out) == 2)
    program.process.send_signal(number)
    assert program.end() == code
    assert program.err[-1].startswith("spyderresp: 3 events decided")


def test_what_was_accepted_is_decided_before_it_ends(start, events, until):
    events.write_bytes(b"".join(line(n) for n in range(5000)))
    program = start(*EVENTS, "--follow", "--log", "quiet")
    until(lambda: program.out)
    program.process.send_signal(signal.SIGTERM)
    assert program.end() == 0
    # Pieces of whole rounds, in order, each flag once.
    decided = len(program.flags)
    assert len({flag["id"] for flag in program.flags}) == decided


def test_a_reader_that_goes_away_is_quiet(start, tmp_path, until):
    (tmp_path / "events.jsonl").write_bytes(b"".join(line(n) for n in range(20_000)))
    ours, theirs = os.pipe()
    program = start(*EVENTS, "--log", "quiet", stdout=theirs)
    os.close(theirs)
    assert os.read(ours, 10)
    os.close(ours)
    assert program.end() == 141
    assert program.err == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--events", "events.jsonl"], 3, "no policies"),
        (["--policies", "gone.yaml", "--events", "events.jsonl"], 2, "gone.yaml"),
        (["--policies", "policy.yaml", "--events", "gone.jsonl"], 3, "gone.jsonl: no such file"),
        (["--policies", "policy.yaml", "--events", "."], 3, ".: is a directory"),
        (["--policies", "policy.yaml", "--events", ".", "--follow"], 3, ".: is a directory"),
        (["--policies", "policy.yaml", "--form", "falko"], 3, "did you mean `falco`?"),
    ],
)
def test_wrong_usage(start, events, arguments, code, said):
    program = start(*arguments)
    assert program.end() == code
    assert said in "\n".join(program.err)
    assert program.out == []


def test_a_reload_by_signal_and_by_change(start, events, tmp_path, until):
    program = start(*EVENTS, "--follow")
    until(lambda: len(program.out) == 2)
    policy = tmp_path / "policy.yaml"
    text = policy.read_text()
    put(policy, text.replace("severity: high", "severity: hihg"))
    until(lambda: any("the previous policies stay in force" in said for said in program.err))
    assert any("unknown severity `hihg`" in said for said in program.err)
    with events.open("ab") as file:
        file.write(line(4))
    until(lambda: len(program.out) == 3)
    put(policy, text.replace("severity: high", "severity: low"))
    until(lambda: any("policies loaded: 1, sha256:" in said for said in program.err))
    with events.open("ab") as file:
        file.write(line(5))
    until(lambda: len(program.out) == 4)
    assert [flag["severity"] for flag in program.flags] == ["high", "high", "high", "low"]
    program.process.send_signal(signal.SIGHUP)
    until(lambda: any("policies loaded: 1, unchanged" in said for said in program.err))
    assert sum("policies loaded" in said for said in program.err) == 2
    program.process.terminate()
    assert program.end() == 0


def test_standard_input_that_is_closed(start, tmp_path):
    command = [sys.executable, "-m", "spyderresp", "run", "--policies", "policy.yaml"]
    root = str(Path(spyderresp.__file__).parents[1])
    start("--policies", "policy.yaml").end()
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (3, "spyderresp: standard input is closed; name a file\n")


def test_check_starts_nothing(start, events):
    program = start(*EVENTS, "--check", "--journal", "j.sqlite")
    assert program.end() == 0
    assert program.err[0].startswith("spyderresp: fine: 1 policy, sha256:")
    assert program.out == []
    assert not (events.parent / "j.sqlite").exists()


def test_other_verbs_load_nothing_of_it():
    names = "{'asyncio', 'pydantic', 'ssl', 'spyderresp.service.wiring'}"
    code = f"import sys, spyderresp.cli; print({names} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout == "set()\n"


def without(module: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a service where a module is not installed."""
    code = (
        f"import sys; sys.modules[{module!r}] = None; from spyderresp.cli import main; sys.exit(main({[*arguments]!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [
        ("httptools", "http", ["--events", "http:0"]),
        ("httptools", "http", ["--events", "events.jsonl", "--monitor", "0"]),
        ("opentelemetry", "otel", ["--config", "spans.yaml"]),
    ],
)
def test_an_extra_that_is_not_installed_is_named(events, start, module, extra, arguments):
    start(*EVENTS).end()
    (events.parent / "spans.yaml").write_text("events: events.jsonl\nspans: yes\n")
    done = without(module, "run", "--policies", "policy.yaml", "--check", *arguments, cwd=events.parent)
    assert done.returncode == 3
    assert f"pip install 'spyderresp[{extra}]'" in done.stderr


def test_the_models_need_their_extra(tmp_path):
    done = without("pydantic", "run", "--check", cwd=tmp_path)
    expected = "`spyderresp run` needs the extra `service`: pip install 'spyderresp[service]'"
    assert (done.returncode, done.stdout, done.stderr.strip()) == (3, "", expected)
    assert without("pydantic", "run", "--help", cwd=tmp_path).returncode == 0


def test_metrics_that_are_not_installed_keep_nothing_else(events, start):
    start(*EVENTS).end()
    arguments = ["--policies", "policy.yaml", "--events", "events.jsonl", "--monitor", "0", "--log", "quiet"]
    done = without("prometheus_client", "run", *arguments, cwd=events.parent)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)
