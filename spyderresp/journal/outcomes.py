"""What became of steps, on its way into the journal; kept while the journal cannot be written."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.journal.chain import canonical
from spyderresp.journal.commits import Transaction
from spyderresp.report import StepOutcome

# Outcomes of steps that were never begun, kept while the journal cannot be written; beyond it they are counted.
_KEPT: Final = 1_000
# How many of them one commit takes along: each attempt on a full disk would write them all in vain.
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Ending:
    """An outcome as it is written.

    Attributes:
        key: of the step.
        status: what became of it.
        begun: whether this process began it.
        earlier: whether it may be one that an earlier process began, or that was under way.
        body: the entry's body.
        follow: where it is to be followed up: executor, step and details.
    """

    key: str
    status: str
    begun: bool
    earlier: bool
    body: str
    follow: tuple[str, str, str] | None = None

    @classmethod
    def of(cls, outcome: StepOutcome, begun: bool, *, earlier: bool) -> Ending:
        """Return an outcome as it is written. The step stands in its intent, where it has one."""
        step = outcome.step
        told: dict[str, Any] = {
            "action": step.action,
            "event": step.event,
            "policies": list(step.policies),
            "outcome": outcome.status,
        }
        words = {"reason": outcome.reason, "rule": outcome.rule, "executor": outcome.executor}
        told.update({name: word for name, word in words.items() if word})
        if outcome.details:
            told["details"] = dict(outcome.details)
        if not (begun or earlier):
            told["step"] = step.to_dict()
        # What flags are still owed to stands in the outbox.
        follow = None
        if outcome.status == "accepted" and not step.is_flag:
            follow = (outcome.executor, canonical(step.to_dict()), canonical(dict(outcome.details)))
        return cls(step.key, outcome.status, begun, earlier, canonical(told), follow)

    def write(self, transaction: Transaction, run: str) -> int:
        """Write it: as the outcome of a step that was begun, or as that of one that never was."""
        if not self._ends(transaction, run):
            return transaction.append("settled", self.body, self.key)
        transaction.execute(
            "UPDATE keys SET status = ?, ended = ?, intent = NULL WHERE key = ?",
            (self.status, transaction.now, self.key),
        )
        transaction.execute("DELETE FROM under_way WHERE key = ?", (self.key,))
        if self.follow is not None:
            transaction.execute("INSERT INTO under_way VALUES (?, ?, ?, ?)", (self.key, *self.follow))
        return transaction.append("outcome", self.body, self.key)

    def _ends(self, transaction: Transaction, run: str) -> bool:
        row = transaction.execute("SELECT ended, run FROM keys WHERE key = ?", (self.key,)).fetchone()
        if row is None:
            return False
        ended, whose = row
        if ended is None:
            # One that another process began is not ended by a refusal here: whether it was acted on is not known.
            return self.earlier or (self.begun and whose == run)
        found = transaction.execute("SELECT 1 FROM under_way WHERE key = ?", (self.key,)).fetchone()
        return self.earlier and found is not None


class Late:
    """Outcomes that could not be written; they go with the next commit that works.

    Args:
        run: names this process in the journal.
        begun: the keys that it began and did not end.
    """

    def __init__(self, run: str, begun: set[str]) -> None:
        self._run = run
        self._begun = begun
        self._lock = threading.Lock()
        self._kept: list[Ending] = []
        self._lost: Counter[str] = Counter()
        self._writing: tuple[int, Counter[str]] = (0, Counter())

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, endings: Iterable[Ending]) -> None:
        """Keep what could not be written: all of begun steps; of others a bounded number, and how many more."""
        with self._lock:
            for ending in endings:
                if ending.begun or len(self._kept) < _KEPT:
                    self._kept.append(ending)
                else:
                    self._lost[ending.status] += 1

    def write(self, transaction: Transaction) -> None:
        """Write some of what was kept, oldest first."""
        with self._lock:
            kept, lost = self._kept[:_AT_ONCE], self._lost.copy()
        self._writing = (len(kept), lost)
        for ending in kept:
            ending.write(transaction, self._run)
        if lost:
            transaction.append("lost", canonical({"outcomes": dict(lost)}))

    def written(self) -> None:
        """Forget what was written."""
        count, lost = self._writing
        self._writing = (0, Counter())
        with self._lock:
            self._begun.difference_update(ending.key for ending in self._kept[:count])
            del self._kept[:count]
            self._lost -= lost
