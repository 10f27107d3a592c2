"""Flags in SQLite: each once, all or none, and never in somebody else's file."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from flagged import ENGINE, EVENT, alarm_record, many, records
from small_disk import fill, small_disk

import spyderresp
from spyderresp.executors import DeliveryError, Sqlite
from spyderresp.guards import Guard


def rows(path: Path, what: str = "record") -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute(f"SELECT {what} FROM flags ORDER BY rowid")]
    finally:
        connection.close()


def test_a_flag_that_comes_twice_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "flags.sqlite"
    sink = Sqlite(path, now=lambda: 5.0)
    for _ in range(2):
        report = spyderresp.execute(ENGINE.evaluate(EVENT), sink, Guard(kill_switch=None), event=EVENT)
        assert [outcome.status for outcome in report] == ["done", "done"]
    sink.deliver([alarm_record(), alarm_record()])
    sink.close()
    Sqlite(path).deliver(records())
    assert [json.loads(record) for record in rows(path)] == [*records(), alarm_record()]
    assert rows(path, "severity") == ["high", "info", "high"]
    assert rows(path, "policy") == ["watch", "watch", None]
    assert rows(path, "received") == [5.0] * 3


def test_hostile_text(tmp_path: Path) -> None:
    path = tmp_path / "flags.sqlite"
    hostile = "'); DROP TABLE flags; --\x00\n\udcff\U0001f600"
    made = many(2, pod={"name": hostile}, machine={"hostname": hostile}, process={"exe": hostile * 9999})
    Sqlite(path).deliver(made)
    assert [json.loads(record) for record in rows(path)] == made
    Sqlite(path).deliver([{"id": "\udcff", "time": "soon", "severity": 7}])
    assert rows(path, "id")[-1] == "\\udcff"


def deliver(path: Path, mark: str) -> None:
    sink = Sqlite(path, busy=240.0)
    for number in range(40):
        sink.deliver([{"id": f"{mark}{number}"}, {"id": f"all{number}"}])


def test_processes_and_threads_together(tmp_path: Path) -> None:
    path = tmp_path / "flags.sqlite"
    children = [multiprocessing.get_context("fork").Process(target=deliver, args=(path, mark)) for mark in "ab"]
    threads = [threading.Thread(target=deliver, args=(path, mark)) for mark in "cd"]
    for worker in (*children, *threads):
        worker.start()
    for worker in (*children, *threads):
        worker.join(480)
    assert [child.exitcode for child in children] == [0, 0]
    assert sorted(rows(path, "id")) == sorted([f"{mark}{n}" for mark in ("a", "b", "c", "d", "all") for n in range(40)])


def test_one_sink_from_many_threads_and_after_a_fork(tmp_path: Path) -> None:
    path = tmp_path / "flags.sqlite"
    sink = Sqlite(path, busy=240.0)
    sink.deliver([{"id": "first"}])
    child = multiprocessing.get_context("fork").Process(target=lambda: sink.deliver([{"id": "child"}]))
    child.start()
    child.join(240)
    assert child.exitcode == 0
    threads = [
        threading.Thread(target=lambda n=n: [sink.deliver([{"id": f"{n}:{i}"}]) for i in range(20)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert len(rows(path, "id")) == 82


def test_a_file_that_is_taken_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "flags.sqlite"
    sink = Sqlite(path)
    sink.deliver([{"id": "a"}])
    for file in tmp_path.iterdir():
        file.unlink()
    sink.deliver([{"id": "b"}])
    assert rows(path, "id") == ["b"]


def test_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "flags.sqlite"
    sink = Sqlite(path)
    sink.deliver([{"id": "a"}])
    monkeypatch.setattr(sink, "_row", lambda record: (record["id"], *[None] * 11))
    with pytest.raises(DeliveryError, match="NOT NULL constraint failed"):
        sink.deliver([{"id": "b"}])
    monkeypatch.undo()
    sink.deliver([{"id": "c"}])
    assert rows(path, "id") == ["a", "c"], "a broken rule is no repeat: it is said, and not dropped"


def test_a_writer_that_holds_on_is_waited_for_with_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "flags.sqlite"
    sink = Sqlite(path, busy=0.05)
    sink.deliver([{"id": "a"}])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DeliveryError, match="database is locked") as caught:
        sink.deliver([{"id": "b"}])
    assert not caught.value.permanent
    other.close()
    sink.deliver([{"id": "b"}])
    assert rows(path, "id") == ["a", "b"]


def test_a_file_of_another_program_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(DeliveryError, match="another program's database"):
        Sqlite(path).deliver(records())
    path.with_suffix(".txt").write_text("hello, this is no database at all" * 99)
    with pytest.raises(DeliveryError, match="not a database"):
        Sqlite(path.with_suffix(".txt")).deliver(records())
    assert path.read_bytes() == before


def test_a_file_of_a_later_version_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "flags.sqlite"
    sink = Sqlite(path)
    sink.deliver(records())
    sink.close()
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 9")
    later.close()
    with pytest.raises(DeliveryError, match="is of version 9; this program writes version 1"):
        Sqlite(path).deliver(records())


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="unable to open database file"):
        Sqlite(tmp_path / "no" / "flags.sqlite").deliver(records())


def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        path = disk / "flags.sqlite"
        sink = Sqlite(path)
        sink.deliver([{"id": "a"}])
        filler = fill(disk, 16_384)
        with pytest.raises(DeliveryError, match="full"):
            sink.deliver([{"id": f"b{n}", "fill": "x" * 4000} for n in range(100)])
        filler.unlink()
        sink.deliver([{"id": "c"}])
        assert rows(path, "id") == ["a", "c"]
        sink.close()
