"""What sinks are owed: delivered at least once, oldest first, and a dead sink delays no other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journals import Shelf, flag, kill, outcome

from spyderresp.execution.backoff import Backoff
from spyderresp.execution.interfaces import DeliveryError
from spyderresp.journal import DeliveryFailure, Journal, JournalReader, verify

QUICK = Backoff(first=0.001, longest=0.01, attempts=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal(path, backoff=QUICK) as opened:
        yield opened


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that a worker does; far longer than it takes."""
    for _ in range(24_000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_local_sinks_get_what_they_are_owed_at_once_oldest_first(journal: Journal, path: Path) -> None:
    shelf, other = Shelf(), Shelf("other")
    journal.begin([flag(f"{number}", "shelf") for number in range(250)])
    journal.begin([flag("last", "shelf", "other")])
    assert journal.owed() == {"shelf": 251, "other": 1}
    assert journal.deliver_now({"shelf": shelf}) == {}
    assert shelf.took == [*(f"flag:{number}" for number in range(250)), "flag:last"]
    assert shelf.batches == [100, 100, 51]
    assert journal.owed() == {"shelf": 0, "other": 1}
    assert journal.deliver_now({"shelf": shelf, "other": other}) == {}
    assert shelf.batches == [100, 100, 51]
    assert other.took == ["flag:last"]
    assert verify(path).ok
    journal.finish([outcome(flag("last", "shelf", "other"))])
    assert journal.owed() == {}
    assert verify(path).ok


def test_deliveries_are_struck_off_with_the_next_commit(journal: Journal) -> None:
    before = journal.stats()["commits"]
    journal.begin([flag("a", "shelf")])
    journal.deliver_now({"shelf": Shelf()})
    journal.finish([outcome(flag("a", "shelf"))])
    assert journal.stats()["commits"] == before + 2


def test_a_local_sink_that_fails_says_why_and_gets_it_later(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    shelf.error = DeliveryError("the disk is full")
    journal.begin([flag("a", "shelf")])
    with caplog.at_level(logging.WARNING):
        assert journal.deliver_now({"shelf": shelf}) == {"shelf": DeliveryFailure("the disk is full")}
        assert "sink `shelf` does not take flags, which the journal keeps: the disk is full" in caplog.text
        shelf.error = None
        # Nobody comes to ask again: the worker does.
        until(lambda: shelf.took == ["flag:a"])
        until(lambda: journal.owed() == {})
    assert "takes flags again" in caplog.text


def test_what_was_not_delivered_is_after_a_restart(path: Path) -> None:
    shelf = Shelf()
    shelf.error = OSError(5, "broken")
    with Journal(path, backoff=QUICK) as journal:
        journal.begin([flag("a", "shelf"), flag("b", "shelf")])
        assert journal.deliver_now({"shelf": shelf}) == {"shelf": DeliveryFailure("OSError: [Errno 5] broken")}
        journal.finish([outcome(flag("a", "shelf"), "accepted")])
    assert verify(path).ok
    shelf.error = None
    with Journal(path, backoff=QUICK) as journal:
        assert journal.stats()["sinks"] == {"shelf": {"delivered": 0, "dead": 0, "owed": 2}}
        journal.attach([shelf])
        until(lambda: journal.owed() == {})
        assert journal.stats()["sinks"] == {"shelf": {"delivered": 2, "dead": 0, "owed": 0}}
    assert shelf.took == ["flag:a", "flag:b"]
    assert verify(path).ok


def test_a_dead_remote_sink_delays_neither_its_caller_nor_another(journal: Journal) -> None:
    gate = threading.Event()

    class Stuck(Shelf):
        def deliver(self, records: object) -> None:
            self.tried.set()
            gate.wait()
            super().deliver(records)  # type: ignore[arg-type]

    dead, live, local = Stuck("dead", local=False), Shelf("live", local=False), Shelf("local")
    sinks = {"dead": dead, "live": live, "local": local}
    try:
        for number in range(5):
            journal.begin([flag(str(number), *sinks)])
            assert journal.deliver_now(sinks) == {}
        assert len(local.took) == 5
        until(lambda: len(live.took) == 5)
        assert dead.tried.wait(240)
        assert journal.owed()["dead"] == 5
    finally:
        gate.set()
    until(lambda: len(dead.took) == 5)


def test_a_record_that_is_refused_for_good_is_a_dead_letter_and_the_others_arrive(
    journal: Journal, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf()
    shelf.poison = frozenset({"flag:3", "flag:7"})
    journal.begin([flag(str(number), "shelf") for number in range(10)])
    with caplog.at_level(logging.ERROR):
        missed = journal.deliver_now({"shelf": shelf})
    assert missed == {"shelf": DeliveryFailure("", frozenset({"3", "7"}))}
    assert caplog.text.count("keeps it as a dead letter") == 2
    assert shelf.took == [f"flag:{number}" for number in range(10) if number not in (3, 7)]
    journal.finish([outcome(flag(str(number), "shelf")) for number in range(10)])
    with JournalReader(path) as reader:
        dead = [entry for entry in reader.entries() if entry.kind == "dead_letter"]
    assert [entry.key for entry in dead] == ["3", "7"]
    assert dead[0].body == {"sink": "shelf", "reason": "a record is bad", "record": {"id": "flag:3"}}
    assert journal.owed() == {}
    assert journal.stats()["sinks"]["shelf"]["dead"] == 2
    assert verify(path).ok


def test_a_wait_that_the_receiver_asked_for_is_kept_and_not_cut_short(path: Path) -> None:
    asked: list[tuple[int, float | None]] = []
    gate = threading.Event()

    class Noting(Backoff):
        def wait(self, failures: int, retry_after: float | None = None, draw: object = None) -> float:
            asked.append((failures, retry_after))
            gate.wait()
            return 0.0

    busy = Shelf(local=False)
    busy.error = DeliveryError("slow down", retry_after=7.0)
    with Journal(path, backoff=Noting()) as journal:
        journal.begin([flag("a", "shelf")])
        journal.deliver_now({"shelf": busy})
        until(lambda: asked == [(1, 7.0)])
        busy.tried.clear()
        # More flags are no reason to come back sooner.
        journal.begin([flag("b", "shelf")])
        journal.deliver_now({"shelf": busy})
        assert not busy.tried.is_set()
        busy.error = None
        gate.set()
        until(lambda: busy.took == ["flag:a", "flag:b"])


def test_close_drains_and_gives_up_at_the_first_failure(path: Path) -> None:
    slow, dead = Shelf("slow", local=False), Shelf("dead", local=False)
    dead.error = DeliveryError("nobody there")
    journal = Journal(path, backoff=Backoff(first=60.0, longest=60.0, attempts=None))
    journal.begin([flag(str(number), "slow", "dead") for number in range(500)])
    journal.deliver_now({"slow": slow, "dead": dead})
    assert dead.tried.wait(240)
    journal.close(timeout=240)
    assert len(slow.took) == 500
    with Journal(path) as journal:
        assert journal.owed() == {"dead": 500}


def test_flags_of_many_threads_all_arrive_once(journal: Journal, path: Path) -> None:
    shelf, far = Shelf(), Shelf("far", local=False)

    def work(number: int) -> None:
        for turn in range(25):
            key = f"{number}-{turn}"
            journal.begin([flag(key, "shelf", "far"), kill(f"k{key}")])
            assert journal.deliver_now({"shelf": shelf, "far": far}) == {}
            assert f"flag:{key}" in shelf.took
            journal.finish([outcome(flag(key, "shelf", "far")), outcome(f"k{key}")])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: journal.owed() == {})
    assert len(shelf.took) == len(set(shelf.took)) == 200
    assert len(far.took) == len(set(far.took)) == 200
    assert verify(path).ok
