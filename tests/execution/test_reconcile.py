"""After a crash: what was begun is checked against reality, and ends with an outcome; nothing is repeated blindly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from journals import Shelf, World, flag, kill, outcome, step
from turned import Turned

import spyderresp
from spyderresp.executors import Recording
from spyderresp.guards import Guard, Limits
from spyderresp.journal import Intent, Journal, JournalError, verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def turned() -> Turned:
    return Turned()


def guard_of(turned: Turned, **settings: Any) -> Guard:
    settings.setdefault("kill_switch", None)
    settings.setdefault("limits", Limits(warm_up_seconds=0.0))
    return Guard(clock=turned.clock(), **settings)


def crashed(path: Path, *intents: Intent) -> Journal:
    """Return the journal as the next process opens it, after one that began these and no more."""
    with Journal(path) as journal:
        journal.begin(intents)
    return Journal(path)


def statuses(outcomes: tuple[spyderresp.StepOutcome, ...]) -> dict[str, str]:
    return {item.step.key: item.status for item in outcomes}


def test_gone_is_already_there_is_finished_once_and_another_in_its_place_is_spared(path: Path, turned: Turned) -> None:
    world = World("there")
    world.strangers = {"other"}
    with crashed(path, kill("gone"), kill("there"), kill("other")) as journal:
        outcomes = spyderresp.reconcile(world, journal, guard_of(turned))
        assert statuses(outcomes) == {"gone": "already", "there": "done", "other": "mismatch"}
        assert outcomes[0].reason == "gone when checked after a restart"
        assert outcomes[1].reason == "finished when checked after a restart"
        assert world.killed == world.released == ["there"]
        assert journal.open_steps() == []
        assert spyderresp.reconcile(world, journal, guard_of(turned)) == ()
        assert {key: item.status for key, item in journal.earlier(["gone", "there", "other"]).items()} == statuses(
            outcomes
        )
    assert verify(path).ok


@pytest.mark.parametrize(
    ("settings", "status", "rule"),
    [
        ({"expiry": 10.0}, "expired", ""),
        ({"mode": "audit"}, "audit", ""),
        ({"kill_switch": "/"}, "refused", "kill-switch"),
        ({"limits": Limits(overall=0)}, "refused", "breaker:overall"),
    ],
)
def test_what_is_there_and_may_not_be_touched_any_more_is_not(
    path: Path, turned: Turned, settings: dict[str, Any], status: str, rule: str
) -> None:
    turned.pass_(20)
    world = World("a")
    with crashed(path, kill("a")) as journal:
        first, *alarms = spyderresp.reconcile(world, journal, guard_of(turned, **settings))
        assert (first.status, first.rule) == (status, rule)
        assert world.killed == []
        assert world.released == ["a"]
        assert journal.open_steps() == []
    assert len(alarms) == (rule == "breaker:overall")
    assert verify(path).ok


def test_an_executor_that_is_gone_or_broken_is_a_failure_and_no_other_takes_its_place(
    path: Path, turned: Turned
) -> None:
    world, other = World("a"), World("b", name="other")
    other.broken = OSError(5, "broken")
    intents = (kill("a"), Intent(step("b"), "other"), Intent(step("c"), "nobody"), Intent(step("d", "undo"), "local"))
    with crashed(path, *intents) as journal:
        outcomes = spyderresp.reconcile([world, other], journal, guard_of(turned))
        assert statuses(outcomes) == {"a": "done", "b": "failed", "c": "failed", "d": "failed"}
        assert "OSError" in outcomes[1].reason
        assert "no executor `nobody` takes `agentKillProcess` here" in outcomes[2].reason
        assert "no executor `local` takes `undo` here" in outcomes[3].reason
        assert journal.open_steps() == []


def test_flags_go_to_the_sinks_that_they_are_still_owed_to(path: Path, turned: Turned) -> None:
    shelf, far, recording = Shelf(), Shelf("far", local=False), Recording()
    intent = flag("f", "shelf", "far", "gone")
    with crashed(path, intent, flag("g", "shelf"), Intent(step("h", "makeRedFlag"), "recording")) as journal:
        outcomes = spyderresp.reconcile([shelf, far, recording], journal, guard_of(turned))
        assert statuses(outcomes) == {"f": "accepted", "g": "done", "h": "done"}
        assert "not delivered to `gone` yet" in outcomes[0].reason
        assert shelf.took == ["flag:f", "flag:g"]
        assert [item.key for item in recording.acted] == ["h"]
    assert far.took == ["flag:f"]
    with Journal(path) as journal:
        assert journal.owed() == {"gone": 1}
        assert journal.open_steps() == []
    assert verify(path).ok


def test_a_crash_while_reconciling_leaves_the_step_open_and_checks_it_again(path: Path, turned: Turned) -> None:
    world = World("a")

    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    journal = crashed(path, kill("a"))
    journal.finish = crash  # type: ignore[method-assign, assignment]
    with pytest.raises(Crash):
        spyderresp.reconcile(world, journal, guard_of(turned))
    journal.close()
    with Journal(path) as journal:
        assert statuses(spyderresp.reconcile(world, journal, guard_of(turned))) == {"a": "already"}
    assert world.killed == ["a"]
    assert verify(path).ok


def test_where_the_journal_cannot_be_written_nothing_is_acted_on_and_all_stays_open(
    path: Path, turned: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World("a")
    with crashed(path, kill("a"), kill("gone")) as journal:

        def full(work: object) -> None:
            raise JournalError(str(path), "the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(journal._committer, "submit", full)
            outcomes = spyderresp.reconcile(world, journal, guard_of(turned))
        assert statuses(outcomes) == {"a": "refused", "gone": "already"}
        assert outcomes[0].rule == "journal"
        assert all("not recorded" in item.details["journal"] for item in outcomes)
        assert world.killed == []
        assert len(journal.open_steps()) == 2
        assert statuses(spyderresp.reconcile(world, journal, guard_of(turned))) == {"a": "done", "gone": "already"}


def test_what_an_event_that_came_again_took_over_meanwhile_is_not_taken_twice(path: Path, turned: Turned) -> None:
    class Racing(World):
        def resolve(self, step: Any, protection: Any) -> Any:
            journal.begin([kill("a")], take_over=frozenset({"a"}))
            return super().resolve(step, protection)

    world = Racing("a")
    with crashed(path, kill("a")) as journal:
        assert spyderresp.reconcile(world, journal, guard_of(turned)) == ()
        assert world.killed == []
        assert journal.earlier(["a"])["a"].ours


def test_what_was_accepted_is_followed_up(path: Path, turned: Turned) -> None:
    world, silent = World("a", "b"), Recording(name="silent")
    with Journal(path) as journal:
        journal.begin([kill("a"), kill("b"), Intent(step("c"), "silent"), Intent(step("d"), "elsewhere")])
        journal.finish([outcome("a", "accepted"), outcome("b", "accepted")])
        for key, name in (("c", "silent"), ("d", "elsewhere")):
            said = outcome(key, "accepted")
            journal.finish([spyderresp.StepOutcome(said.step, said.result, name)])
        world.alive.discard("b")
        ended = spyderresp.follow_up([world, silent], journal)
        assert statuses(ended) == {"b": "done", "c": "failed"}
        assert [item.step.key for item in journal.under_way()] == ["a", "d"]
        assert journal.earlier(["b"])["b"].status == "done"
        world.follow = lambda *_: 1 / 0  # type: ignore[method-assign]
        assert spyderresp.follow_up([world], journal) == ()
    assert verify(path).ok
