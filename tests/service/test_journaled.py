"""A service with a journal: reloads are recorded, a restart loses nothing, and what was accepted is decided."""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from service.conftest import line, put

import spyderresp
from spyderresp.execution.steps import steps_of
from spyderresp.journal import Intent, Journal, verify

FOLLOWED = (
    *("--policies", "policy.yaml", "--events", "events.jsonl", "--follow", "--journal", "journal.sqlite"),
    *("--set", "jsonlines.path=flags.jsonl", "--log", "quiet"),
)


def rows(path: Path, statement: str) -> list[tuple]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def flags(folder: Path) -> list[str]:
    path = folder / "flags.jsonl"
    # What follows the last line's end is being written.
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    return [json.loads(text)["id"] for text in whole.splitlines()]


@pytest.mark.slow
def test_kill_9_again_and_again_loses_no_event(start, tmp_path, until):
    events = tmp_path / "events.jsonl"
    events.touch()
    draw = random.Random(7)
    count = 0
    written = threading.Event()

    def write() -> None:
        nonlocal count
        while not written.is_set():
            with events.open("ab") as file:
                file.write(b"".join(line(count + n) for n in range(20)))
            count += 20
            if count % 400 == 0:
                events.rename(f"{events}.{count}")
                events.touch()
            time.sleep(0.01)

    writer = threading.Thread(target=write)
    for life in range(6):
        program = start(*FOLLOWED[:-2])
        if life == 0:
            # What was rotated away before the first start is nobody's.
            until((tmp_path / "journal.sqlite.positions").exists)
            writer.start()
        time.sleep(draw.uniform(0.4, 1.5))
        program.process.kill()
        program.end()
    written.set()
    writer.join()
    program = start(*FOLLOWED)
    until(lambda: len(set(flags(tmp_path))) == count)
    program.process.terminate()
    assert program.end() == 0
    # A crash between a delivery and its note in the journal repeats it under the same id; nothing else does.
    assert len(flags(tmp_path)) - count <= 6 * 100
    journal = tmp_path / "journal.sqlite"
    assert rows(journal, "SELECT count(*) FROM keys WHERE ended IS NULL") == [(0,)]
    assert verify(str(journal)).ok


def test_every_load_is_recorded(start, tmp_path, until):
    (tmp_path / "events.jsonl").touch()
    policy = tmp_path / "policy.yaml"
    program = start(*FOLLOWED[:-2])
    until(lambda: any("events from" in said for said in program.err))
    text = policy.read_text()
    put(policy, text.replace("severity: high", "severity: low"))
    until(lambda: any("policies loaded" in said for said in program.err))
    put(policy, "nonsense: [")
    until(lambda: any("cannot be loaded" in said for said in program.err))
    program.process.terminate()
    assert program.end() == 0
    bodies = [
        json.loads(body)
        for (body,) in rows(
            tmp_path / "journal.sqlite", "SELECT body FROM entries WHERE kind = 'policies' ORDER BY seq"
        )
    ]
    digests = [spyderresp.loads(said).digest for said in (text, text.replace("severity: high", "severity: low"))]
    assert [body["digest"] for body in bodies] == [*digests, ""]
    assert "policy.yaml" in bodies[2]["reason"]


def test_an_event_that_comes_again_after_a_restart_happens_once(start, tmp_path):
    (tmp_path / "events.jsonl").write_bytes(line(1) + line(2))
    arguments = ("--policies", "policy.yaml", "--events", "events.jsonl", "--journal", "journal.sqlite")
    first, second = start(*arguments), None
    assert first.end() == 0
    second = start(*arguments)
    assert second.end() == 0
    assert (len(first.out), len(second.out)) == (2, 0)
    assert sum("duplicate makeRedFlag: this step was taken before" in said for said in second.err) == 2


def test_what_a_crash_left_open_is_ended_first(start, tmp_path, until):
    engine = spyderresp.Engine(spyderresp.load(tmp_path / "policy.yaml"))
    event = json.loads(line(1))
    with Journal(tmp_path / "journal.sqlite") as journal:
        _, kill = steps_of(engine.evaluate(event), arrived=time.time(), event=event)
        journal.begin([Intent(kill, "gone", "process:1")])
    program = start("--policies", "policy.yaml", "--journal", "journal.sqlite")
    assert program.end() == 0
    assert "warning: 1 steps were left open by an earlier process; each is ended now" in program.err[0]
    assert program.err[1].startswith("failed agentKillProcess: process 1 `evil`: a crash cut it off")


def test_another_process_that_has_the_journal(start, tmp_path):
    with Journal(tmp_path / "journal.sqlite"):
        program = start("--policies", "policy.yaml", "--journal", "journal.sqlite")
        assert program.end() == 3
        assert "is in use by process" in program.err[0]


def test_sigterm_amid_a_flood_decides_what_was_accepted(start, tmp_path, until):
    program = start(
        *("--policies", "policy.yaml", "--events", "http:0", "--journal", "journal.sqlite", "--log", "text"),
        *("--set", "jsonlines.path=flags.jsonl"),
    )
    until(lambda: any("events from" in said for said in program.err))
    port = int(re.search(r"events from http [\d.]+:(\d+)", "\n".join(program.err))[1])
    count_events: list[int] = []
    refused: list[int] = []

    def send(sender: int) -> None:
        number = sender * 1_000_000
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=240)
        while True:
            numbers = range(number, number + 50)
            number += 50
            try:
                connection.request(
                    "POST", "/v1/events", b"".join(line(n, "evil" if n % 10 == 0 else "fine") for n in numbers)
                )
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                refused.append(number)
                connection.close()
                return
            if answer.status == 200:
                count_events.extend(n for n in numbers if n % 10 == 0)
            else:
                refused.append(answer.status)
                return

    senders = [threading.Thread(target=send, args=(n,)) for n in range(1, 5)]
    for sender in senders:
        sender.start()
    until(lambda: len(count_events) > 200)
    program.process.send_signal(signal.SIGTERM)
    assert program.end() == 0
    for sender in senders:
        sender.join(240)
    assert len(refused) == 4
    done = rows(tmp_path / "journal.sqlite", "SELECT count(*) FROM keys WHERE status = 'done'")[0][0]
    assert done == len(set(flags(tmp_path))) >= len(count_events)
    assert rows(tmp_path / "journal.sqlite", "SELECT count(*) FROM keys WHERE ended IS NULL") == [(0,)]


@pytest.mark.parametrize("log", ["text", "json"])
def test_a_configuration_at_work(start, tmp_path, log):
    (tmp_path / "events.jsonl").write_bytes(line(1) + b"{\n")
    (tmp_path / "run.yaml").write_text(
        "policies: policy.yaml\nevents: events.jsonl\njournal: j.sqlite\n"
        "executors:\n- jsonlines: {path: flags.jsonl, envelope: cloudevents}\n"
        "guard:\n  silences:\n  - {match: {policy: other}, until: 2099-01-01T00:00:00Z}\n"
    )
    program = start("--config", "run.yaml", "--log", log)
    assert program.end() == 1
    assert program.out == []
    (flag,) = (json.loads(text) for text in (tmp_path / "flags.jsonl").read_text().splitlines())
    assert flag["specversion"] == "1.0"
    # The command line wins.
    program = start("--config", "run.yaml", "--mode", "audit", "--journal", "other.sqlite")
    assert program.end() == 1
    assert "no agent action is taken: the guard is in audit mode" in program.err[0]
    assert "audit makeRedFlag" in program.err[1]


def test_errors_name_the_flag(start):
    program = start("--policies", "policy.yaml", "--events", "http:0.0.0.0:80", "--executor", "jsonlins")
    assert program.end() == 3
    text = "\n".join(program.err)
    assert "--events http:0.0.0.0:80: error[SR610]: `0.0.0.0` accepts connections" in text
    assert "--executor jsonlins: error[SR608]: unknown executor `jsonlins`" in text
    assert "help: did you mean `jsonlines`?" in text
    assert text.endswith("configuration cannot be used: 2 errors; see `spyderresp explain-code SR608 SR610`")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--monitor", "x"], "--monitor: error[SR607]: `x` is no address"),
        (["--events", "unix:s", "--uid", "root"], "--uid: error[SR603]: `uids` must be numbers of users, not `root`"),
        (
            ["--events", "kafka:localhost/a", "--dead-letters", "a"],
            "--dead-letters: error[SR605]: dead letters in `a` would be read again",
        ),
        (["--set", "jsonlines.fsync=maybe"], "--set jsonlines.fsync: error[SR114]: `fsync` must be true or false"),
        (["--set", "jsonlines.actions=[a"], "--set jsonlines.actions:1:3: error[SR007]: not valid YAML"),
        (["--set", "jsonlines.pth=x"], "--set jsonlines.pth: error[SR601]: unknown key `pth`"),
        (["--set", "jsonlins.path=x"], "--set jsonlins.path: error[SR608]: unknown executor `jsonlins`"),
        (["--events", "http:0", "--tls-key", "k"], "--tls-...: error[SR602]: `tls` has no `certificate`"),
    ],
)
def test_errors_name_each_flag(start, arguments, error):
    program = start("--policies", "policy.yaml", *arguments)
    assert program.end() == 3
    assert program.err[0].startswith(error)


def test_flags_take_lists_and_texts(start, tmp_path):
    (tmp_path / "events.jsonl").write_bytes(line(1))
    flags = ["--set", "jsonlines.path=no", "--set", "jsonlines.actions=[makeRedFlag]", "--set", "jsonlines.fsync=NO"]
    program = start("--policies", "policy.yaml", "--events", "events.jsonl", *flags)
    assert program.end() == 0, program.err
    assert (tmp_path / "no").exists()
