"""The journal: claims, outcomes, what survives a restart, who may write."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from journals import flag, kill, outcome, step
from turned import Turned

from spyderresp.journal import DeliveryFailure, Journal, JournalError, JournalReader, verify
from spyderresp.journal.schema import MIGRATIONS, connect, migrate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal(path) as opened:
        yield opened


def test_a_claim_is_made_once(journal: Journal) -> None:
    assert journal.begin([kill("a"), kill("b")]) == {}
    lost = journal.begin([kill("b"), kill("c")])
    assert list(lost) == ["b"]
    assert lost["b"].ours
    assert lost["b"].status is None
    known = journal.earlier(["a", "b", "c", "d"])
    assert set(known) == {"a", "b", "c"}
    assert all(item.ours for item in known.values())
    journal.finish([outcome("a")])
    assert journal.earlier(["a"])["a"].status == "done"
    assert not journal.earlier(["a"])["a"].ours
    assert journal.begin([kill("a")])["a"].status == "done"


def test_a_step_that_was_never_begun_is_written_and_not_taken(journal: Journal, path: Path) -> None:
    journal.finish([outcome("a", "refused")])
    assert journal.earlier(["a"]) == {}
    assert journal.begin([kill("a")]) == {}
    with JournalReader(path) as reader:
        (settled,) = (entry for entry in reader.entries() if entry.kind == "settled")
        assert settled.body["outcome"] == "refused"
        assert settled.body["step"]["event"] == "event of a"


def test_what_was_begun_and_not_ended_is_open_after_a_restart(path: Path) -> None:
    with Journal(path) as journal:
        journal.begin([kill("a"), kill("b"), flag("f", "x", "y")], guard=lambda: {"version": 1})
        journal.finish([outcome("b", "incomplete")])
        assert journal.open_steps() == []
    with Journal(path) as journal:
        assert journal.guard_state() == {"version": 1}
        opened = journal.open_steps()
        assert [(item.step, item.executor) for item in opened] == [
            (step("a"), "local"),
            (step("f", "makeRedFlag"), "x, y"),
        ]
        assert opened[1].undelivered == ("x", "y")
        assert journal.earlier(["b"])["b"].status == "incomplete"
        assert not journal.earlier(["a"])["a"].ours
        # Not to be taken without saying so, and then once.
        assert set(journal.begin([kill("a")])) == {"a"}
        assert journal.begin([kill("a")], take_over=frozenset("a")) == {}
        assert journal.begin([kill("a")], take_over=frozenset("a"))["a"].ours
        assert [item.step.key for item in journal.open_steps()] == ["f"]
        journal.finish([outcome("a")])
        assert journal.earlier(["a"])["a"].status == "done"
    assert verify(path).ok


def test_a_refusal_does_not_end_what_an_earlier_process_began(path: Path) -> None:
    """Whether that one acted is not known: it stays open until it is looked at."""
    with Journal(path) as journal:
        journal.begin([kill("a")])
    with Journal(path) as journal:
        journal.finish([outcome("a", "expired")])
        assert [item.step.key for item in journal.open_steps()] == ["a"]
        journal.settle([outcome("a", "already")])
        assert journal.open_steps() == []
        assert journal.earlier(["a"])["a"].status == "already"
    assert verify(path).ok


def test_accepted_actions_are_under_way_until_they_are_settled(path: Path) -> None:
    with Journal(path) as journal:
        journal.begin([kill("a"), flag("f", "x")])
        journal.finish([outcome("a", "accepted", uid="u"), outcome(flag("f", "x"), "accepted")])
    with Journal(path) as journal:
        (item,) = journal.under_way()
        assert (item.step, item.executor, item.details) == (step("a"), "local", {"uid": "u"})
        journal.settle([outcome("a", "accepted", uid="v")])
        assert journal.under_way()[0].details == {"uid": "v"}
        journal.settle([outcome("a", "done")])
        assert journal.under_way() == []
        assert journal.earlier(["a"])["a"].status == "done"
    assert verify(path).ok


def test_one_process_writes(path: Path) -> None:
    with Journal(path), pytest.raises(JournalError, match=rf"is in use by process {os.getpid()}$"):
        Journal(path)
    Journal(path).close()


def test_the_lock_goes_with_the_process_that_held_it(path: Path) -> None:
    code = "import os, sys; from spyderresp.journal import Journal; Journal(sys.argv[1]); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, env=environment())
    assert done.returncode == -9
    Journal(path).close()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_a_guest_appends_beside_the_process_that_holds_it(journal: Journal, path: Path) -> None:
    with Journal(path, guest=True) as guest:
        assert guest.begin([kill("undo")]) == {}
        journal.begin([kill("a")])
        guest.finish([outcome("undo")])
        assert guest.deliver_now({"x": object()}) == {"x": DeliveryFailure(f"{path}: a guest delivers nothing")}
    journal.finish([outcome("a")])
    assert verify(path).ok
    assert verify(path).head[0] == 7


def test_a_guest_makes_no_journal(path: Path) -> None:
    with pytest.raises(JournalError, match="unable to open database file"):
        Journal(path, guest=True)
    assert not path.exists()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_to_open_its_own(path: Path) -> None:
    journal = Journal(path)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = []
        for attempt in (lambda: journal.begin([kill("a")]), lambda: journal.earlier(["a"])):
            try:
                attempt()
                said.append("nothing")
            except JournalError as error:
                said.append(error.reason)
        journal.close()
        os.write(writing, "\n".join(said).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert (
        os.read(reading, 1000).decode().splitlines()
        == [f"process {os.getpid()} opened it; a forked child opens its own"] * 2
    )
    assert journal.begin([kill("a")]) == {}
    journal.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_lives_on_does_not_hold_the_lock(path: Path) -> None:
    journal = Journal(path)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    journal.close()
    Journal(path).close()
    os.close(writing)
    os.waitpid(child, 0)


def test_after_close_nothing_is_written(path: Path) -> None:
    journal = Journal(path)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="it is closed"):
        journal.begin([kill("a")])
    with JournalReader(path) as reader:
        assert [entry.kind for entry in reader.entries()] == ["start", "stop"]


def test_only_its_owner_may_read_it(journal: Journal, path: Path) -> None:
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_policies_are_recorded(journal: Journal, path: Path) -> None:
    journal.record_policies("abc", ["policies/"], policies=3)
    with JournalReader(path) as reader:
        entry = list(reader.entries())[-1]
    assert entry.kind == "policies"
    assert entry.body == {"digest": "abc", "paths": ["policies/"], "policies": 3, "reason": ""}


def test_only_allowed_fields_are_kept(journal: Journal, path: Path) -> None:
    """The step is what is written: its target has identity fields only, and its record is allow-listed."""
    journal.begin([kill("a")])
    with JournalReader(path) as reader:
        body = list(reader.entries())[-1].body
    assert set(body) == {"step", "executor", "identity", "facts", "run"}
    assert set(body["step"]) == set(step("a").to_dict())


def test_text_of_any_kind_comes_back(journal: Journal, path: Path) -> None:
    odd = step("a", event="\ud800 \x00 \u202e", because="'; DROP TABLE keys; --")
    journal.begin([kill("b")])
    journal.finish([outcome("b", "done", said="\udcff")])
    journal.finish([type(outcome("a"))(odd, outcome("a").result)])
    assert verify(path).ok
    with JournalReader(path) as reader:
        assert list(reader.entries())[-1].body["step"]["event"] == "\ud800 \x00 \u202e"


def test_writers_that_come_while_a_commit_is_under_way_share_the_next_one(path: Path) -> None:
    class Slow:
        """Rides along with the first commit, and lets nobody off before all others have come."""

        def write(self, transaction: object) -> None:
            under_way.set()
            while len(committer._queue) < 7:
                time.sleep(0.001)

        def written(self) -> None:
            committer.requests.remove(self)

    with Journal(path) as journal:
        committer = journal._committer
        under_way = threading.Event()
        before = journal.stats()["commits"]
        committer.requests.append(Slow())
        threads = [threading.Thread(target=journal.begin, args=([kill(str(number))],)) for number in range(8)]
        threads[0].start()
        assert under_way.wait(60)
        for thread in threads[1:]:
            thread.start()
        for thread in threads:
            thread.join()
        assert journal.stats()["commits"] - before == 2
        assert len(journal.earlier([str(number) for number in range(8)])) == 8
    assert verify(path).ok


def test_many_threads_write_one_chain(path: Path) -> None:
    with Journal(path) as journal:

        def work(number: int) -> None:
            for turn in range(50):
                assert journal.begin([kill(f"{number}-{turn}")]) == {}
                journal.finish([outcome(f"{number}-{turn}")])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    result = verify(path)
    assert result.ok
    assert result.entries == 8 * 50 * 2 + 2


def test_clock_jumps_are_written_down_and_order_stays(path: Path) -> None:
    turned = Turned()
    with Journal(path, clock=turned.clock()) as journal:
        journal.begin([kill("a")])
        turned.wall -= 86_400 * 365
        journal.finish([outcome("a")])
        turned.pass_(5)
        journal.begin([kill("b")])
        turned.wall += 86_400 * 3650
        assert journal.begin([kill("a")])["a"].status == "done"
        journal.finish([outcome("b")])
    with JournalReader(path) as reader:
        kinds = [entry.kind for entry in reader.entries()]
        jumps = [entry.body["seconds"] for entry in reader.entries() if entry.kind == "clock"]
    assert kinds == ["start", "intent", "clock", "outcome", "intent", "clock", "outcome", "stop"]
    assert jumps == [-86_400 * 365, 86_400 * 3650]
    assert verify(path).ok


def test_deciding_loads_no_sqlite() -> None:
    code = "import sys, spyderresp, spyderresp.journal; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment()).returncode == 0


def test_a_file_of_another_kind_is_no_journal(path: Path) -> None:
    path.write_text("not a database, and long enough to be looked at" * 100)
    with pytest.raises(JournalError, match="it is not a journal, and not an SQLite database"):
        Journal(path)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    for opener in (Journal, JournalReader):
        with pytest.raises(JournalError, match="it is not a journal: another program's database"):
            opener(path)
    (path.parent / "a.sqlite").mkdir()
    with pytest.raises(JournalError, match="unable to open database file"):
        Journal(path.parent / "a.sqlite")
    with pytest.raises(JournalError, match="no such file or directory"):
        Journal(path.parent / "none" / "journal.sqlite")


def test_one_of_a_newer_release_is_left_alone(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    for opener in (Journal, JournalReader):
        with pytest.raises(JournalError, match=r"a newer release wrote it \(schema 2; this release reads up to 1\)"):
            opener(path)


def test_migrations_go_step_by_step_and_one_that_fails_leaves_no_half(path: Path) -> None:
    with Journal(path) as journal:
        journal.begin([kill("a")])
    more = (*MIGRATIONS, ("CREATE TABLE two (a)", "INSERT INTO two VALUES (2)"), ("CREATE TABLE three (a)", "broken"))
    connection = connect(str(path))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, str(path), more)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert connection.execute("SELECT a FROM two").fetchall() == [(2,)]
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'three'").fetchall() == []
    migrate(connection, str(path), (*more[:2], ("CREATE TABLE three (a)",)))
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    assert connection.execute("SELECT count(*) FROM keys").fetchone() == (1,)
    connection.close()
