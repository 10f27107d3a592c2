"""Whether a journal is what was written: the chain of its entries, and the tables that follow from them.

What this cannot see: a change by somebody who recomputes the chain from there to its end and the head with it. Against
that a digest that was noted elsewhere helps (``expect``): then the chain up to there is what it was. The state of the
breakers is in no entry, and not checked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from spyderresp.execution.interfaces import JournalError
from spyderresp.journal.hash_chain import KINDS, Entry
from spyderresp.journal.queries import JournalReader, Segment
from spyderresp.journal.schema import GENESIS
from spyderresp.policies.vocabulary import FLAGS

# Differences of the tables that are named; each may be one of thousands.
_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Verification:
    """What ``verify`` found.

    Attributes:
        entries: how many were checked.
        segments: in how many older segments there were some.
        head: the number and the digest of the last entry, worth noting elsewhere.
        problems: the first altered, missing or misplaced entry, and where the tables disagree; none where all is well.
        notes: what could not be checked, and why.
    """

    entries: int
    segments: int
    head: tuple[int, str]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def verify(path: str | os.PathLike[str], *, expect: str | None = None, archived: bool = False) -> Verification:
    """Check a journal, while another process may write it.

    Args:
        path: its file.
        expect: the digest of an entry, noted earlier: it must be in the chain.
        archived: older segments whose files are gone were moved away on purpose: the chain is checked from the oldest
            that is there.

    Raises:
        JournalError: it is none, or a newer release wrote it.
    """
    with JournalReader(path) as reader:
        walk = _Walk(reader, archived, expect)
        problem = walk.first_problem()
        problems = [] if problem is None else [problem]
        if problem is None:
            if expect is not None and not walk.met:
                problems.append(f"no entry has the digest {expect}: what was noted is not in this chain")
            problems += walk.table_problems()
        return Verification(walk.count, walk.segments, reader.head, tuple(problems), tuple(walk.notes))


@dataclass
class _Step:
    """What the entries say of one key."""

    seq: int
    record: str
    owed: set[str]
    status: str | None = None
    under_way: bool = False


@dataclass
class _Walk:
    reader: JournalReader
    archived: bool
    expect: str | None
    count: int = 0
    segments: int = 0
    met: bool = False
    notes: list[str] = field(default_factory=list)
    _steps: dict[str, _Step] = field(default_factory=dict)
    # Whether the first entry was there: else steps are known that no entry here tells of.
    _whole: bool = True

    def first_problem(self) -> str | None:
        """Return what is wrong with the first entry that is not as it was written."""
        before, seq = GENESIS, 0
        try:
            for segment in self.reader.segments:
                if segment.first != seq + 1:
                    return f"entry {seq + 1} is missing: segment {segment.number} begins with entry {segment.first}"
                if os.path.exists(segment.path):
                    if problem := self._chain(self.reader.segment_entries(segment), before, seq, segment):
                        return problem
                    self.segments += 1
                elif self.archived and not self.count:
                    self.notes.append(f"entries {segment.first} to {segment.last} were moved away with {segment.path}")
                    self._whole = False
                    self.met = self.met or segment.hash == self.expect
                else:
                    return f"entries {segment.first} to {segment.last} are missing: there is no {segment.path}"
                before, seq = segment.hash, segment.last
            return self._chain(self.reader.own_entries(), before, seq, None)
        except JournalError as error:
            return str(error)

    def _chain(self, entries: Iterable[Entry], before: str, seq: int, segment: Segment | None) -> str | None:
        for entry in entries:
            seq += 1
            if entry.seq != seq:
                return f"entry {seq} is missing: entry {entry.seq} stands where it should be"
            if not entry.follows(before):
                return f"entry {seq} was altered or moved: its digest does not follow from what stands there"
            try:
                self._note(entry)
            except (KeyError, TypeError, ValueError):
                return f"entry {seq} cannot be read: it is no `{entry.kind}`"
            before = entry.hash
            self.met = self.met or before == self.expect
            self.count += 1
        last, digest = self.reader.head if segment is None else (segment.last, segment.hash)
        if seq < last:
            return f"entry {seq + 1} is missing: entries {seq + 1} to {last} were cut off the end"
        if seq > last:
            return f"entry {last + 1} is one too many: entry {last} was the last"
        return None if before == digest else f"entry {seq} is not the last one that was written"

    def _note(self, entry: Entry) -> None:
        """Follow what the tables must say."""
        told = entry.body
        if entry.kind not in KINDS:
            raise ValueError(entry.kind)
        if entry.kind == "intent" and entry.key is not None:
            known = self._steps.get(entry.key)
            if known is None:
                self._steps[entry.key] = _Step(entry.seq, told.get("record", ""), set(told.get("sinks", ())))
            else:
                # Taken over after a restart: owed to its sinks since it was first begun.
                known.seq, known.status = entry.seq, None
        elif entry.kind == "outcome" and entry.key in self._steps:
            step = self._steps[entry.key]
            step.status = told["outcome"]
            step.under_way = told["outcome"] == "accepted" and told["action"] not in FLAGS
        elif entry.kind == "delivery":
            for key in told["flags"]:
                if key in self._steps:
                    self._steps[key].owed.discard(told["sink"])
        elif entry.kind == "dead_letter" and entry.key in self._steps:
            self._steps[entry.key].owed.discard(told["sink"])

    def table_problems(self) -> list[str]:
        """Return where the tables say something else than the entries."""
        try:
            found = [*self._keys(), *self._outbox(), *self._under_way()]
        except JournalError as error:
            return [str(error)]
        left = len(found) - _NAMED
        return [*found[:_NAMED], f"and {left} more differences of the tables"] if left > 0 else found

    def _keys(self) -> Iterator[str]:
        there: set[str] = set()
        for key, status, ended in self.reader.rows("SELECT key, status, ended FROM keys ORDER BY key"):
            there.add(key)
            step = self._steps.get(key)
            if step is None:
                if self._whole:
                    yield f"step {key} counts as taken, and no entry says so"
            elif status != step.status or (ended is None) != (step.status is None):
                yield f"step {key} counts as {_said(status)}, and the entries say {_said(step.status)}"
        base = self.reader.base[0]
        for key, step in self._steps.items():
            # Older ones may have been forgotten when their time was over; open ones never are.
            if key not in there and (step.seq > base or step.status is None):
                yield f"step {key} does not count as taken, and entry {step.seq} says that it was"

    def _outbox(self) -> Iterator[str]:
        there: set[tuple[str, str]] = set()
        for sink, key, record in self.reader.rows("SELECT sink, key, record FROM outbox ORDER BY id"):
            there.add((sink, key))
            step = self._steps.get(key)
            if step is None:
                if self._whole:
                    yield f"`{sink}` is owed a flag of step {key}, of which no entry tells"
            elif sink not in step.owed:
                yield f"`{sink}` is owed the flag of step {key}, and the entries say that it is not"
            elif hashlib.sha256(record.encode()).hexdigest() != step.record:
                yield f"the flag of step {key} that `{sink}` is owed was altered"
        for key, step in self._steps.items():
            for sink in sorted(step.owed):
                if (sink, key) not in there:
                    yield f"the flag of step {key} that `{sink}` is owed is gone"

    def _under_way(self) -> Iterator[str]:
        there = {key for (key,) in self.reader.rows("SELECT key FROM under_way")}
        for key in sorted(there):
            if not self._steps[key].under_way if key in self._steps else self._whole:
                yield f"step {key} counts as under way, and the entries say that it is not"
        for key, step in self._steps.items():
            if step.under_way and key not in there:
                yield f"step {key} is under way, and is not followed up"


def _said(status: Any) -> str:
    return "open" if status is None else f"`{status}`"
