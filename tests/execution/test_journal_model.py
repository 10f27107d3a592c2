"""Claims against a model: any order of beginning, ending, crashing, rotating, and a full disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from journals import Shelf, flag, kill, outcome
from turned import Turned

from spyderresp.execution.interfaces import Intent
from spyderresp.execution.report import Status
from spyderresp.journal import Journal, JournalError, verify

KEYS = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=4)
STATUSES: tuple[Status, ...] = ("done", "accepted", "failed", "refused", "incomplete")


def intent(key: str) -> Intent:
    """The first letters are kills, the others flags."""
    return kill(key) if key < "e" else flag(key, "shelf")


class Claims(RuleBasedStateMachine):
    """The model: of each key who began it last (a number of a process) and what became of it."""

    @initialize()
    def start(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.path = Path(self.place.name) / "journal.sqlite"
        self.turned = Turned()
        self.shelf = Shelf()
        self.process = 0
        self.taken: dict[str, tuple[int, Status | None]] = {}
        self.owed: list[str] = []
        self.entries = 1
        self.journal = self.opened()

    def opened(self) -> Journal:
        return Journal(self.path, clock=self.turned.clock(), retention=1e12)

    @rule(keys=KEYS, over=st.sets(st.sampled_from("abcdefg")))
    def begin(self, keys: list[str], over: set[str]) -> None:
        expected = {}
        for key in keys:
            if key in self.taken:
                process, status = self.taken[key]
                if status is not None or process == self.process or key not in over:
                    expected[key] = (status, status is None and process == self.process)
                    continue
            elif key >= "e":
                self.owed.append(f"flag:{key}")
            self.taken[key] = (self.process, None)
            self.entries += 1
        lost = self.journal.begin(
            [intent(key) for key in keys], take_over=frozenset(over), guard=lambda: {"n": self.entries}
        )
        # One that comes twice is claimed, and said to be.
        assert {key: (item.status, item.ours) for key, item in lost.items()} == expected
        assert self.journal.guard_state() == {"n": self.entries}

    @rule(keys=KEYS, status=st.sampled_from(STATUSES), settle=st.booleans())
    def finish(self, keys: list[str], status: Status, settle: bool) -> None:
        self.wrote(status, keys, settle)
        (self.journal.settle if settle else self.journal.finish)([outcome(intent(key), status) for key in keys])

    def wrote(self, status: Status, keys: list[str], settle: bool) -> None:
        for key in keys:
            process, before = self.taken.get(key, (-1, "done"))
            ours = before is None and (settle or process == self.process)
            # An action that is under way is ended by settling; a flag that is accepted is owed, and has ended.
            if ours or (settle and before == "accepted" and key < "e"):
                self.taken[key] = (process, status)
            self.entries += 1

    @rule()
    def deliver(self) -> None:
        assert self.journal.deliver_now({"shelf": self.shelf}) == {}
        assert sorted(self.shelf.took[-len(self.owed) :] if self.owed else []) == sorted(self.owed)
        if self.owed:
            self.entries += 1
        self.owed = []
        self.journal.finish([])

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        if crash:
            # What the end of a process does: the lock goes, and nothing is said.
            journal = self.journal
            journal._reader.close()
            journal._committer.close()
            assert journal._process_lock is not None
            journal._process_lock.release()
        else:
            self.journal.close()
            self.entries += 1
        self.process += 1
        self.journal = self.opened()
        self.entries += 1

    @rule()
    def rotate(self) -> None:
        self.journal.rotate()

    @rule(seconds=st.sampled_from([-1e6, 1.0, 1e6]))
    def wait(self, seconds: float) -> None:
        self.turned.wall += seconds
        self.turned.steady += seconds

    @rule(key=st.sampled_from("abcd"))
    def full(self, key: str) -> None:
        """An outcome that cannot be written is written with the next commit that works."""
        submit = self.journal._committer._write

        def fails(_: object) -> None:
            raise JournalError(str(self.path), "the disk is full")

        self.journal._committer._write = fails  # type: ignore[method-assign, assignment]
        try:
            try:
                self.journal.begin([kill("new")])
                raise AssertionError
            except JournalError:
                pass
            try:
                self.journal.finish([outcome(key, "failed")])
                raise AssertionError
            except JournalError:
                pass
        finally:
            self.journal._committer._write = submit  # type: ignore[method-assign]
        self.wrote("failed", [key], settle=False)
        self.journal.finish([])

    @invariant()
    def all_agree(self) -> None:
        if not hasattr(self, "journal"):
            return
        known = self.journal.earlier(list("abcdefg"))
        assert {key: item.status for key, item in known.items()} == {
            key: status for key, (_, status) in self.taken.items()
        }
        assert {item.step.key for item in self.journal.open_steps()} == {
            key for key, (process, status) in self.taken.items() if status is None and process != self.process
        }
        assert {item.step.key for item in self.journal.under_way()} == {
            key for key, (_, status) in self.taken.items() if status == "accepted" and key < "e"
        }
        assert self.journal.owed() == ({"shelf": len(self.owed)} if self.owed else {})

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            result = verify(self.path)
            assert result.problems == ()
            assert result.entries == self.entries + 1
            self.place.cleanup()


Claims.TestCase.settings = settings(
    max_examples=max(1, settings().max_examples // 2),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestClaims = Claims.TestCase
