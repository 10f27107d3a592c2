"""`execute` with a journal: each step once, and a burst shares its commits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from journals import Shelf

import spyderresp
from spyderresp.execution.interfaces import DeliveryError
from spyderresp.executors import Recording
from spyderresp.guards import Guard, Limits
from spyderresp.journal import Journal, JournalReader, verify

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
# The window of no length: breakers count nothing, and what is measured is the journal.
OPEN = Limits(1000, 1000, 1000, window=0.0, warm_up_seconds=0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "cluster": {"name": "c"}, "process": {"name": "evil", "pid": number + 2}, **more}


def statuses(report: spyderresp.ExecutionReport) -> list[str]:
    return [item.status for item in report]


def test_an_event_that_comes_twice_acts_once_also_after_a_restart_and_a_reload(path: Path) -> None:
    recording, shelf, guard = Recording(actions=frozenset({"agentKillProcess"})), Shelf(), Guard(kill_switch=None)
    with Journal(path) as journal:
        first = spyderresp.execute(ENGINE.evaluate(event(1)), [recording, shelf], guard, journal)
        again = spyderresp.execute(ENGINE.evaluate(event(1)), [recording, shelf], guard, journal)
    reloaded = spyderresp.Engine(spyderresp.loads(POLICY + "---\n" + POLICY.replace("name: kill", "name: more")))
    with Journal(path) as journal:
        later = spyderresp.execute(reloaded.evaluate(event(1)), [recording, shelf], guard, journal)
    assert statuses(first) == ["done", "done"]
    assert statuses(again) == ["duplicate", "duplicate"]
    assert "this step was taken before" in again[1].reason
    # The new policy's flag is a new one.
    assert sorted(statuses(later)) == ["done", "duplicate", "duplicate"]
    assert len(recording.acted) == 1
    assert len(shelf.took) == len(set(shelf.took)) == 2
    assert verify(path).ok


def test_a_flag_that_is_refused_for_good_is_a_failure_and_one_that_is_owed_is_accepted(path: Path) -> None:
    for number, (permanent, status, word) in enumerate(
        ((True, "failed", "dead letter"), (False, "accepted", "no way"))
    ):
        shelf, bad = Shelf(), Shelf("bad")
        bad.error = DeliveryError("no way", permanent=permanent)
        with Journal(path) as journal:
            (outcome,) = spyderresp.execute(ENGINE.evaluate(event(number, process=None)), [shelf, bad], None, journal)
            assert journal.owed() == ({} if permanent else {"bad": 1})
        assert outcome.status == status
        assert word in outcome.reason
        assert outcome.details["sinks"] == {"shelf": "done", "bad": status}
        assert len(shelf.took) == 1
    assert verify(path).ok


@pytest.mark.parametrize("threads", [16])
def test_a_burst_of_single_calls_shares_commits(path: Path, threads: int) -> None:
    calls = 2_000
    recording, shelf, guard = Recording(actions=frozenset({"agentKillProcess"})), Shelf(), Guard(limits=OPEN)
    with Journal(path) as journal:
        before = journal.stats()["commits"]
        bad: list[str] = []

        def work(first: int) -> None:
            for number in range(first, calls, threads):
                report = spyderresp.execute(ENGINE.evaluate(event(number)), [recording, shelf], guard, journal)
                if not report.ok:
                    bad.append(report.to_json())

        running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        commits = journal.stats()["commits"] - before
    assert bad == []
    # Two for each call, were they made one by one; how many fewer is a matter of the disk and the scheduler.
    assert commits < 2 * calls
    assert len({step.key for step in recording.acted}) == len(recording.acted) == calls
    assert len(set(shelf.took)) == len(shelf.took) == calls
    assert verify(path).ok


def test_many_plans_are_two_commits(path: Path) -> None:
    recording, shelf, guard = Recording(actions=frozenset({"agentKillProcess"})), Shelf(), Guard(limits=OPEN)
    with Journal(path) as journal:
        before = journal.stats()["commits"]
        spyderresp.execute_many(
            ENGINE.evaluate_many([event(number) for number in range(500)]), [recording, shelf], guard, journal
        )
        assert journal.stats()["commits"] - before == 2
    assert len(recording.acted) == len(shelf.took) == 500


def test_the_same_event_from_many_threads_at_once_acts_once(path: Path) -> None:
    recording, shelf, guard = Recording(actions=frozenset({"agentKillProcess"})), Shelf(), Guard(limits=OPEN)
    barrier = threading.Barrier(8)
    said: list[str] = []
    with Journal(path) as journal:

        def work() -> None:
            for number in range(50):
                barrier.wait()
                said.extend(
                    statuses(spyderresp.execute(ENGINE.evaluate(event(number)), [recording, shelf], guard, journal))
                )

        running = [threading.Thread(target=work) for _ in range(8)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    assert len(recording.acted) == len(shelf.took) == 50
    assert sorted(set(said)) == ["done", "duplicate"]
    assert said.count("done") == 100


def test_the_breaker_remembers_across_a_restart(path: Path) -> None:
    recording = Recording(actions=frozenset({"agentKillProcess"}))
    for _ in range(4):
        with Journal(path) as journal:
            guard = Guard(kill_switch=None)
            for number in range(10):
                spyderresp.execute(
                    ENGINE.evaluate(event(len(recording.resolved) * 100 + number)), recording, guard, journal
                )
    assert len(recording.acted) == 3


def test_the_journal_holds_no_more_of_an_event_than_may_leave(path: Path) -> None:
    told = event(1, process={"name": "evil", "pid": 3, "args": ["--password=hunter2"], "environ": {"TOKEN": "s3cr3t"}})
    with Journal(path) as journal:
        spyderresp.execute(ENGINE.evaluate(told), [Recording(), Shelf()], Guard(), journal, event=told)
    with JournalReader(path) as reader:
        text = "".join(entry.text for entry in reader.entries())
    assert "evil" in text
    assert "hunter2" not in text
    assert "s3cr3t" not in text
