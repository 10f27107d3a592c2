"""Verifies a journal: the hash chain of its entries, and the tables that follow from the entries.

An attacker who can write the file can recompute the chain to its end, which this cannot detect. A digest that was noted
elsewhere (``expect``) detects it for the entries up to that digest. The state of the breakers is in no entry and is not
checked.
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

# The most differences of the tables that are reported one by one.
_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of ``verify``.

    Attributes:
        entries: the number of entries that were checked.
        segments: the number of segments that were checked.
        head: the number and the digest of the last entry. Note it elsewhere for ``expect``.
        problems: the first entry that is altered, missing or misplaced, or the differences between entries and tables.
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
    """Verify a journal, also while another process writes it.

    ::

        assert verify("journal.sqlite").ok

    Args:
        path: the file of the journal.
        expect: the digest of an entry, noted earlier: the chain must contain it.
        archived: accept that the oldest segments were moved away; verify from the oldest segment that exists.

    Raises:
        JournalError: the file is not a journal, or a newer release wrote it.
    """
    with JournalReader(path) as reader:
        walk = _Walk(reader, archived, expect)
        problem = walk.first_problem()
        problems = [] if problem is None else [problem]
        if problem is None:
            if expect is not None and not walk.expected_seen:
                problems.append(f"no entry has the digest {expect}: what was noted is not in this chain")
            problems += walk.table_problems()
        return Verification(walk.count, walk.segments, reader.head, tuple(problems), tuple(walk.notes))


@dataclass
class _Step:
    """The state of one step, by the entries."""

    seq: int
    record: str
    outbox: set[str]
    status: str | None = None
    under_way: bool = False


@dataclass
class _Walk:
    """One pass over all entries."""

    reader: JournalReader
    archived: bool
    expect: str | None
    count: int = 0
    segments: int = 0
    expected_seen: bool = False
    notes: list[str] = field(default_factory=list)
    _steps: dict[str, _Step] = field(default_factory=dict)
    # Whether the first entry exists. If not, the tables may hold steps without entries.
    _whole: bool = True

    def first_problem(self) -> str | None:
        """Return the problem of the first entry that is not as it was written; None if there is none."""
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
                    self.expected_seen = self.expected_seen or segment.hash == self.expect
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
                return f"entry {seq} cannot be read: it is not a valid `{entry.kind}`"
            before = entry.hash
            self.expected_seen = self.expected_seen or before == self.expect
            self.count += 1
        last, digest = self.reader.head if segment is None else (segment.last, segment.hash)
        if seq < last:
            return f"entry {seq + 1} is missing: entries {seq + 1} to {last} were cut off the end"
        if seq > last:
            return f"entry {last + 1} should not exist: entry {last} is the last one"
        return None if before == digest else f"entry {seq} is not the last one that was written"

    def _note(self, entry: Entry) -> None:
        """Update the state of the step of an entry."""
        body = entry.body
        if entry.kind not in KINDS:
            raise ValueError(entry.kind)
        if entry.kind == "intent" and entry.key is not None:
            known = self._steps.get(entry.key)
            if known is None:
                self._steps[entry.key] = _Step(entry.seq, body.get("record", ""), set(body.get("sinks", ())))
            else:
                # Taken over after a restart. Its flag is in the outbox already.
                known.seq, known.status = entry.seq, None
        elif entry.kind == "outcome" and entry.key in self._steps:
            step = self._steps[entry.key]
            step.status = body["outcome"]
            step.under_way = body["outcome"] == "accepted" and body["action"] not in FLAGS
        elif entry.kind == "delivery":
            for key in body["flags"]:
                if key in self._steps:
                    self._steps[key].outbox.discard(body["sink"])
        elif entry.kind == "dead_letter" and entry.key in self._steps:
            self._steps[entry.key].outbox.discard(body["sink"])

    def table_problems(self) -> list[str]:
        """Return the differences between the tables and the entries."""
        try:
            problems = [*self._keys(), *self._outbox(), *self._under_way()]
        except JournalError as error:
            return [str(error)]
        left = len(problems) - _NAMED
        return [*problems[:_NAMED], f"and {left} more differences of the tables"] if left > 0 else problems

    def _keys(self) -> Iterator[str]:
        seen: set[str] = set()
        for key, status, ended in self.reader.rows("SELECT key, status, ended FROM keys ORDER BY key"):
            seen.add(key)
            step = self._steps.get(key)
            if step is None:
                if self._whole:
                    yield f"step {key} is listed as begun, but has no entry"
            elif status != step.status or (ended is None) != (step.status is None):
                yield f"step {key} is listed as {_status(status)}, but by its entries it is {_status(step.status)}"
        base = self.reader.base[0]
        for key, step in self._steps.items():
            # The journal may have forgotten ended steps of segments (`retention`); it never forgets open steps.
            if key not in seen and (step.seq > base or step.status is None):
                yield f"step {key} is not listed as begun, but entry {step.seq} began it"

    def _outbox(self) -> Iterator[str]:
        seen: set[tuple[str, str]] = set()
        for sink, key, record in self.reader.rows("SELECT sink, key, record FROM outbox ORDER BY id"):
            seen.add((sink, key))
            step = self._steps.get(key)
            if step is None:
                if self._whole:
                    yield f"the outbox of `{sink}` holds a flag of step {key}, which has no entry"
            elif sink not in step.outbox:
                yield f"the outbox of `{sink}` holds the flag of step {key}, but its entries do not"
            elif hashlib.sha256(record.encode()).hexdigest() != step.record:
                yield f"the flag of step {key} in the outbox of `{sink}` was altered"
        for key, step in self._steps.items():
            for sink in sorted(step.outbox):
                if (sink, key) not in seen:
                    yield f"the flag of step {key} is missing in the outbox of `{sink}`"

    def _under_way(self) -> Iterator[str]:
        seen = {key for (key,) in self.reader.rows("SELECT key FROM under_way")}
        for key in sorted(seen):
            if not self._steps[key].under_way if key in self._steps else self._whole:
                yield f"step {key} is listed as under way, but by its entries it is not"
        for key, step in self._steps.items():
            if step.under_way and key not in seen:
                yield f"step {key} is under way by its entries, but is not listed"


def _status(status: Any) -> str:
    return "open" if status is None else f"`{status}`"
