"""Claims: a step belongs to whoever began it first."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from spyderresp.journal.base import Earlier, Intent, Opened
from spyderresp.journal.chain import canonical
from spyderresp.journal.commits import Transaction
from spyderresp.steps import Step


@dataclass(frozen=True, slots=True)
class Claim:
    """An intent as it is written.

    Attributes:
        key: of its step.
        body: the entry's body.
        sinks: who is owed the flag.
        record: what they are owed, as JSON.
    """

    key: str
    body: str
    sinks: tuple[str, ...]
    record: str

    @classmethod
    def of(cls, intent: Intent, run: str) -> Claim:
        """Return an intent as this process writes it."""
        record = "" if intent.record is None else canonical(intent.record)
        told: dict[str, Any] = {"step": intent.step.to_dict(), "executor": intent.executor, "run": run}
        if intent.identity:
            told["identity"] = intent.identity
        if intent.facts:
            told["facts"] = dict(intent.facts)
        if intent.sinks:
            told["sinks"] = list(intent.sinks)
            told["record"] = hashlib.sha256(record.encode()).hexdigest()
        return cls(intent.step.key, canonical(told), intent.sinks, record)

    def write(self, transaction: Transaction, run: str, take_over: frozenset[str]) -> Earlier | None:
        """Claim the step for this process; return what is known of it where it is another's."""
        row = transaction.execute("SELECT status, began, ended, run FROM keys WHERE key = ?", (self.key,)).fetchone()
        if row is not None:
            _, _, ended, whose = row
            if ended is not None or whose == run or self.key not in take_over:
                return earlier(run, *row)
        seq = transaction.append("intent", self.body, self.key)
        transaction.execute(
            "INSERT OR REPLACE INTO keys VALUES (?, NULL, ?, NULL, ?, ?, NULL)", (self.key, transaction.now, run, seq)
        )
        # One that is taken over is owed to its sinks since it was first begun.
        for sink in self.sinks if row is None else ():
            transaction.execute(
                "INSERT INTO outbox (sink, key, record) VALUES (?, ?, ?)", (sink, self.key, self.record)
            )
        return None


def earlier(run: str, status: Any, began: float, ended: float | None, whose: str) -> Earlier:
    """Return what a row of the keys says to the process that is called ``run``."""
    return Earlier(status, began, ours=ended is None and whose == run)


def opened(began: float, body: str | None, owed: dict[str, list[str]]) -> Opened:
    """Return the open step of an intent's body.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    told = json.loads(body or "")
    step = Step.from_dict(told["step"])
    return Opened(step, told["executor"], began, tuple(told.get("sinks", ())), tuple(owed.get(step.key, ())))
