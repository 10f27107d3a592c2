"""A disk that is full, read-only or broken: kills are refused, flags still go out, and it works again by itself."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from journals import Shelf, World, flag, kill, outcome

import spyderresp
from spyderresp.executors import Recording
from spyderresp.guards import Guard, Limits
from spyderresp.journal import Journal, JournalError, JournalReader, verify

POLICY = """
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: kill, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: c}}
  response:
    default:
      - makeRedFlag: {severity: high, content: seen}
    actions:
      - agentKillProcess: {processSelector: {matchFields: {name: evil}}}
"""
ENGINE = spyderresp.Engine(spyderresp.loads(POLICY))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def no_growth() -> Iterator[None]:
    """No file of this process may grow beyond what an empty one is."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def guard_of() -> Guard:
    return Guard(kill_switch=None, limits=Limits(1000, 1000, 1000, warm_up_seconds=0.0))


class Service:
    """An embedding of the smallest kind."""

    def __init__(self, journal: Journal) -> None:
        self.recording = Recording(actions=frozenset({"agentKillProcess"}))
        self.shelf = Shelf()
        self.guard = guard_of()
        self.journal = journal
        self.number = 1

    def __call__(self, number: int | None = None, executor: Any = None) -> list[str]:
        self.number += 1
        event = {"id": f"e{number or self.number}", "cluster": {"name": "c"}, "process": {"name": "evil", "pid": 9}}
        self.report = spyderresp.execute(
            ENGINE.evaluate(event), [executor or self.recording, self.shelf], self.guard, self.journal, event=event
        )
        return [item.status for item in self.report]


def fill(place: Path) -> Path:
    """Leave no room in a file system."""
    filler = place / "filler"
    with filler.open("ab", buffering=0) as file:
        size = 65536
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2
    return filler


def test_on_a_full_disk_kills_are_refused_and_flags_go_out_and_with_room_it_works_again(small: Path) -> None:
    with Journal(small / "journal.sqlite") as journal:
        service = Service(journal)
        assert service() == ["done", "done"]
        filler = fill(small)
        for turn in range(3):
            assert service() == ["done", "refused"]
            assert service.report[1].rule == "journal"
            assert "the disk is full" in service.report[1].reason
            assert "not recorded" in service.report[0].details["journal"]
            assert len(service.shelf.took) == turn + 2
        assert len(service.recording.acted) == 1
        with pytest.raises(JournalError, match="the disk is full"):
            journal.begin([kill("a")])
        assert journal.earlier(["a"]) == {}
        filler.unlink()
        assert service() == ["done", "done"]
        assert len(service.recording.acted) == 2
        # What was refused was not taken: it may come again.
        assert service(number=3) == ["done", "done"]
    assert verify(small / "journal.sqlite").ok


def test_an_outcome_for_which_there_is_no_room_is_written_when_there_is(small: Path) -> None:
    path = small / "journal.sqlite"
    fillers: list[Path] = []

    class Filling(Recording):
        def note(self, step: Any) -> Any:
            fillers.append(fill(small))
            return super().note(step)

    with Journal(path) as journal:
        service = Service(journal)
        filling = Filling(actions=frozenset({"agentKillProcess"}))
        assert service(executor=filling) == ["done", "done"]
        assert "the disk is full" in service.report[1].details["journal"]
        key = service.report[1].step.key
        assert journal.earlier([key])[key].ours
        assert journal.stats()["late"] == 2
        assert service(number=service.number, executor=filling) == ["duplicate", "duplicate"]
        fillers[0].unlink()
        journal.record_policies("set", [], policies=1)
        assert journal.stats()["late"] == 0
        assert journal.earlier([key])[key].status == "done"
    with Journal(path) as journal:
        assert journal.open_steps() == []
    assert verify(path).ok


def test_outcomes_of_steps_that_were_never_begun_are_kept_up_to_a_bound_and_counted(path: Path) -> None:
    with Journal(path) as journal:
        journal.begin([kill("a")])
        with no_growth():
            for number in range(1_500):
                with pytest.raises(JournalError):
                    journal.finish([outcome(f"r{number}", "refused")])
            with pytest.raises(JournalError):
                journal.finish([outcome("a")])
        assert journal.stats()["late"] == 1_001
        journal.finish([])
        assert journal.stats()["late"] == 901
    with JournalReader(path) as reader:
        entries = list(reader.entries())
    assert sum(entry.kind == "settled" for entry in entries) == 1_000
    assert [entry.body for entry in entries if entry.kind == "lost"] == [{"outcomes": {"refused": 500}}]
    assert [entry.key for entry in entries if entry.kind == "outcome"] == ["a"]
    assert verify(path).ok


def test_a_limit_of_the_process_is_as_a_full_disk(path: Path) -> None:
    with Journal(path) as journal:
        service = Service(journal)
        with no_growth():
            assert service() == ["done", "refused"]
        assert service() == ["done", "done"]
    assert verify(path).ok


def test_there_is_no_journal_on_a_full_or_read_only_disk(small: Path) -> None:
    fill(small)
    with pytest.raises(JournalError, match=r"no space left|the disk is full"):
        Journal(small / "journal.sqlite")
    (small / "filler").unlink()
    with Journal(small / "journal.sqlite") as journal:
        journal.begin([kill("a")])
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    with pytest.raises(JournalError, match="read-only"):
        Journal(small / "journal.sqlite")
    # It can still be looked at.
    assert verify(small / "journal.sqlite").ok


def test_one_that_cannot_be_opened_lets_go_of_everything(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_files() -> list[str]:
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return [target for link in links if os.path.islink(link) and str(path) in (target := os.readlink(link))]

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_start", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Journal(path)
    assert open_files() == []
    with Journal(path):
        assert open_files() != []
    assert open_files() == []


def test_a_journal_that_becomes_read_only_is_as_a_full_disk(path: Path) -> None:
    with Journal(path) as journal:
        service = Service(journal)
        connection = journal._committer._connection
        assert connection is not None
        connection.execute("PRAGMA query_only = 1")
        assert service() == ["done", "refused"]
        assert "it is read-only" in service.report[1].reason
        connection.execute("PRAGMA query_only = 0")
        assert service() == ["done", "done"]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_journal_that_goes_away_is_not_written_into_nowhere(path: Path, how: str) -> None:
    journal = Journal(path)
    service = Service(journal)
    assert service() == ["done", "done"]
    path.unlink()
    if how == "replaced":
        path.touch()
    assert service() == ["done", "refused"]
    assert "removed or replaced while in use" in service.report[1].reason
    journal.close()


def test_another_program_that_keeps_it_locked_is_waited_for_and_then_said(path: Path) -> None:
    with Journal(path) as journal, Journal(path, guest=True) as guest:
        other = guest._committer._connection
        mine = journal._committer._connection
        assert other is not None
        assert mine is not None
        other.execute("BEGIN IMMEDIATE")
        mine.execute("PRAGMA busy_timeout = 50")
        service = Service(journal)
        assert service() == ["done", "refused"]
        assert "another process keeps it locked" in service.report[1].reason
        other.execute("ROLLBACK")
        assert service() == ["done", "done"]


def wreck(path: Path, page: Callable[[int], bool]) -> None:
    with path.open("r+b") as file:
        for start in range(0, path.stat().st_size, 4096):
            if page(start // 4096):
                file.seek(start)
                file.write(b"\xa5" * 4096)


def test_a_corrupt_journal_refuses_kills_and_lets_flags_out(path: Path) -> None:
    with Journal(path) as journal:
        journal.begin([kill(str(number)) for number in range(500)])
        journal.finish([outcome(str(number)) for number in range(500)])
    journal = Journal(path)
    service = Service(journal)
    wreck(path, lambda page: page > 0)
    assert service() == ["done", "refused"]
    assert service.report[1].rule == "journal"
    assert "it is corrupt" in service.report[1].reason
    assert len(service.shelf.took) == 1
    journal.close()
    with pytest.raises(JournalError, match="it is corrupt"):
        Journal(path)
    wreck(path, lambda page: page == 0)
    for opener in (Journal, JournalReader):
        with pytest.raises(JournalError, match="not an SQLite database"):
            opener(path)


def test_reconciling_over_an_open_step_that_cannot_be_read_says_so(path: Path) -> None:
    with Journal(path) as journal:
        journal.begin([kill("a")])
        connection = journal._committer._connection
        assert connection is not None
        connection.execute("UPDATE entries SET body = '{}' WHERE key = 'a'")
    with Journal(path) as journal, pytest.raises(JournalError, match="an open step cannot be read"):
        spyderresp.reconcile(World("a"), journal, guard_of())


def test_a_sink_that_works_on_a_full_disk_gets_what_the_journal_cannot_strike_off_once(small: Path) -> None:
    """The mark that it was delivered waits in memory, and the flag does not go out again and again."""
    shelf = Shelf()
    with Journal(small / "journal.sqlite") as journal:
        journal.begin([flag("a", "shelf")])
        filler = fill(small)
        for _ in range(3):
            assert journal.deliver_now({"shelf": shelf}) == {}
        with pytest.raises(JournalError):
            journal.finish([outcome(flag("a", "shelf"))])
        assert shelf.took == ["flag:a"]
        filler.unlink()
        journal.finish([])
        assert journal.owed() == {}
    assert verify(small / "journal.sqlite").ok
