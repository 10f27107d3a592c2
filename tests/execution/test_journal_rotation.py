"""Older segments: the chain goes on, what is needed stays, and a crash at any point loses nothing."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest
from journals import flag, kill, outcome
from turned import Turned

from spyderresp.journal import Journal, JournalError, JournalReader, verify
from spyderresp.journal import segments as rotation


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_open_steps_and_owed_flags_outlive_their_segment(path: Path) -> None:
    with Journal(path) as journal:
        journal.begin([kill("a"), kill("b"), flag("f", "x")])
        journal.finish([outcome("b", "accepted")])
        journal.rotate()
        journal.rotate()
    with Journal(path) as journal:
        assert [item.step.key for item in journal.open_steps()] == ["a", "f"]
        assert [item.step.key for item in journal.under_way()] == ["b"]
        assert journal.owed() == {"x": 1}
        assert journal.earlier(["b"])["b"].status == "accepted"
    assert verify(path).ok


def test_it_rotates_by_itself_while_others_write(path: Path) -> None:
    with Journal(path, rotate_after=50) as journal:

        def work(number: int) -> None:
            for turn in range(60):
                key = f"{number}-{turn}"
                assert journal.begin([kill(key)]) == {}
                journal.finish([outcome(key)])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        with_reader = [verify(path).ok for _ in range(5)]
        for thread in threads:
            thread.join()
        assert len(journal.earlier([f"{number}-{turn}" for number in range(4) for turn in range(60)])) == 240
    assert all(with_reader)
    result = verify(path)
    assert result.problems == ()
    assert result.entries == 4 * 60 * 2 + 2
    assert result.segments >= 2
    segment = path.with_name("journal.0001.sqlite")
    assert segment.stat().st_mode & 0o777 == 0o400


def test_steps_are_forgotten_when_they_are_old_and_their_segment_is_not_the_last(path: Path) -> None:
    turned = Turned()
    with Journal(path, clock=turned.clock(), retention=100) as journal:
        journal.begin([kill("a"), kill("open")])
        journal.finish([outcome("a")])
        journal.rotate()
        journal.begin([kill("b")])
        journal.finish([outcome("b")])
        # The wall clock alone makes nothing forgotten that was written since the last rotation.
        turned.wall += 1e9
        journal.rotate()
        assert set(journal.earlier(["a", "b", "open"])) == {"b", "open"}
        journal.finish([outcome("open")])
    assert verify(path).ok


class _Cut(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("place", ["replace", "sync", "counts", "delete"])
def test_a_rotation_that_is_cut_off_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def cut(*_: object) -> None:
        raise _Cut

    journal = Journal(path)
    journal.begin([kill("a"), kill("b")])
    journal.finish([outcome("a")])
    with monkeypatch.context() as patch:
        if place == "replace":
            patch.setattr(Path, "replace", cut)
        elif place == "sync":
            patch.setattr(rotation, "sync_directory", cut)
        elif place == "counts":
            patch.setattr(journal._committer, "submit", cut)
        else:
            patch.setattr(rotation, "delete_moved", cut)
        with pytest.raises(_Cut):
            journal.rotate()
    assert verify(path).ok
    journal.begin([kill("c")])
    journal.close()
    with Journal(path) as journal:
        assert [item.step.key for item in journal.open_steps()] == ["b", "c"]
        journal.rotate()
        journal.begin([kill("d")])
    result = verify(path)
    assert result.problems == ()
    with JournalReader(path) as reader:
        assert sum(entry.kind == "intent" for entry in reader.entries()) == 4
    connection = sqlite3.connect(path)
    # What a segment holds is not kept twice.
    assert connection.execute("SELECT min(seq) FROM entries").fetchone()[0] > reader.segments[-1].first
    connection.close()


def test_where_there_is_no_room_for_a_segment_the_journal_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(path) as journal:
        journal.begin([kill("a")])

        def full(*_: object) -> None:
            raise OSError(28, os.strerror(28))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(JournalError, match="no space left"):
                journal.rotate()
        assert [file.name for file in path.parent.glob("*tmp*")] == []
        journal.finish([outcome("a")])
        assert journal.rotate() == 3
    assert verify(path).ok
