"""Sinks with a real journal: what a dead receiver does not take is kept, and delivered later."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

from flagged import ENGINE, EVENT
from receiver import receiver

import spyderresp
from spyderresp.executors import JsonLines, Sqlite, Webhook
from spyderresp.guards import Guard
from spyderresp.journal import Journal

SECRET = "0123456789abcdef"


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_a_dead_webhook_delays_no_other_sink_and_loses_no_flag(tmp_path: Path) -> None:
    lines, database = tmp_path / "flags.jsonl", tmp_path / "flags.sqlite"
    with receiver() as there:
        there.answers = [(503, {"retry-after": "0"})] * 3
        with Journal(tmp_path / "journal.sqlite") as journal:
            sinks = [JsonLines(lines), Sqlite(database), Webhook(there.url, SECRET)]
            for number in range(10):
                event = {**EVENT, "id": f"dev:{number}"}
                plan = ENGINE.evaluate(event)
                for _ in range(2):
                    spyderresp.execute(plan, sinks, Guard(kill_switch=None), journal, event=event)
                assert len(ids(lines)) == 2 * (number + 1)
            until = time.monotonic() + 240
            while time.monotonic() < until:
                taken = [record["id"] for _, body in there.requests[3:] for record in json.loads(body)]
                if len(set(taken)) == 20:
                    break
                time.sleep(0.05)
            for sink in sinks:
                sink.close()
    assert sorted(set(taken)) == sorted(ids(lines))
    assert len(set(ids(lines))) == 20
    connection = sqlite3.connect(database)
    assert sorted(row[0] for row in connection.execute("SELECT id FROM flags")) == sorted(ids(lines))
    connection.close()
