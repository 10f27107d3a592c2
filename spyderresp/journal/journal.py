"""The journal that ships."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, final

from spyderresp.errors import __version__
from spyderresp.execution.backoff import Backoff
from spyderresp.execution.clock import Clock
from spyderresp.execution.interfaces import (
    DeliveryFailure,
    Intent,
    JournalError,
    OpenedBreaker,
    OpenStep,
    RecordedStep,
    Sink,
)
from spyderresp.execution.report import StepOutcome
from spyderresp.execution.steps import Step
from spyderresp.journal.delivery_workers import DeliveryWorker, OutboxRow
from spyderresp.journal.group_commit import Claim, Committer, Transaction, earlier, opened
from spyderresp.journal.hash_chain import canonical
from spyderresp.journal.lock import Jumps, ProcessLock
from spyderresp.journal.queries import Ending, LateOutcome
from spyderresp.journal.schema import connect, journal_error, open_for_writing
from spyderresp.journal.segments import base_of, delete_moved, rotate

_log: Final = logging.getLogger("spyderresp.journal")


@final
class Journal:
    """Where steps are written before they are tried, and after; one SQLite file. Safe to share between threads.

    A context manager: leaving it delivers what is owed, for a few seconds, and closes it. A forked child opens its own.

    Args:
        path: the file; made where there is none, readable by its owner only.
        clock: where the time comes from.
        rotate_after: after so many entries they move into an older segment, ``NAME.0001.sqlite`` and so on.
        retention: how many seconds at least a step that has ended is known again.
        backoff: how patiently a worker delivers to a sink that does not take flags; it never gives up.
        guest: append beside the process that holds the journal, for a verb that has to work meanwhile: takes no
            lock, delivers nothing, moves nothing.

    Raises:
        JournalError: another process holds it; it cannot be written; it is none, or a newer release wrote it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Clock | None = None,
        rotate_after: int = 100_000,
        retention: float = 7 * 86_400.0,
        backoff: Backoff | None = None,
        guest: bool = False,
    ) -> None:
        if rotate_after < 1:
            raise ValueError(f"`rotate_after` must be at least 1, not {rotate_after!r}")
        if not 0 <= retention < float("inf"):
            raise ValueError(f"`retention` must be seconds, not {retention!r}")
        self.path = os.fspath(path)
        self._clock = clock or Clock()
        self._rotate_after = rotate_after
        self._retention = retention
        self._backoff = backoff or Backoff(attempts=None)
        self._guest = guest
        self._process = os.getpid()
        self._run = uuid.uuid4().hex
        self._lanes: dict[str, DeliveryWorker] = {}
        self._lock = threading.Lock()
        self._rotating = threading.Lock()
        self._closed = False
        self._held = None if guest else ProcessLock(self.path)
        with contextlib.ExitStack() as undone:
            if self._held is not None:
                undone.callback(self._held.release)
            self._committer = Committer(self.path, open_for_writing(self.path, guest=guest), self._clock.wall)
            undone.callback(self._committer.close)
            self._reading = threading.Lock()
            self._begun: set[str] = set()
            self._late = LateOutcome(self._run, self._begun)
            self._jumps = Jumps(self._clock)
            self._committer.passengers += [self._jumps, self._late]
            try:
                self._reader = connect(self.path, mode="ro")
                undone.callback(self._reader.close)
                self._base = self._start()
            except sqlite3.Error as error:
                raise journal_error(self.path, error) from error
            undone.pop_all()

    def _start(self) -> int:
        """Write that a process has begun, and end what a rotation left undone."""
        told = {
            "run": self._run,
            "process": self._process,
            "boot": self._clock.boot(),
            "version": __version__,
            "guest": self._guest,
        }
        self._committer.submit(lambda transaction: transaction.append("start", canonical(told)))
        base = base_of(self._reader)
        if not self._guest:
            delete_moved(self._committer, base)
        return base

    # What `execute` asks.

    def earlier(self, keys: Sequence[str]) -> Mapping[str, RecordedStep]:
        """Return what is known of steps with these keys; a key of which nothing is known is left out.

        Raises:
            JournalError: it cannot be read.
        """
        rows = self._rows(
            "SELECT key, status, began, ended, run FROM keys WHERE key IN (SELECT value FROM json_each(?))",
            (json.dumps(list(keys)),),
        )
        return {key: earlier(self._run, *rest) for key, *rest in rows}

    def begin(
        self,
        intents: Sequence[Intent],
        *,
        guard: Callable[[], Mapping[str, Any]] | None = None,
        take_over: frozenset[str] = frozenset(),
    ) -> Mapping[str, RecordedStep]:
        """Claim steps, all in one commit; return those that somebody else claimed first, which are not ours to take.

        A step that comes twice among the intents is claimed, and returned as one that was.

        Raises:
            JournalError: it cannot be written; nothing is claimed.
        """
        self._usable()
        claims = [Claim.of(intent, self._run) for intent in intents]
        begun: set[str] = set()

        def work(transaction: Transaction) -> dict[str, RecordedStep]:
            lost: dict[str, RecordedStep] = {}
            begun.clear()
            for claim in claims:
                taken = claim.write(transaction, self._run, take_over)
                if taken is None:
                    begun.add(claim.key)
                else:
                    lost[claim.key] = taken
            _keep(transaction, guard)
            return lost

        lost = self._committer.submit(work)
        self._begun.update(begun)
        self._rotate_when_long()
        return lost

    def finish(self, outcomes: Iterable[StepOutcome], *, guard: Callable[[], Mapping[str, Any]] | None = None) -> None:
        """Write what became of steps, begun ones and those that never had to be.

        Raises:
            JournalError: it cannot be written yet. Outcomes of begun steps are kept and go with the next commit that
                works; should the process end before, the steps are checked after the next start.
        """
        self._end(outcomes, earlier=False, guard=guard)

    def settle(self, outcomes: Iterable[StepOutcome]) -> None:
        """Write what became of steps that an earlier process began, or that were under way.

        Raises:
            JournalError: it cannot be written; they stay as they are.
        """
        self._end(outcomes, earlier=True)

    def _end(
        self,
        outcomes: Iterable[StepOutcome],
        *,
        earlier: bool,
        guard: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self._usable()
        endings = [Ending.of(outcome, outcome.step.key in self._begun, earlier=earlier) for outcome in outcomes]

        def work(transaction: Transaction) -> None:
            for ending in endings:
                ending.write(transaction, self._run)
            _keep(transaction, guard)

        try:
            self._committer.submit(work)
        except JournalError:
            if not earlier:
                self._late.keep(endings)
            raise
        self._begun.difference_update(ending.key for ending in endings)
        self._rotate_when_long()

    def guard_state(self) -> Mapping[str, Any] | None:
        """Return the state of the breakers that was kept last, or None.

        Raises:
            JournalError: it cannot be read.
        """
        for (text,) in self._rows("SELECT state FROM guard_state"):
            try:
                state = json.loads(text)
            except ValueError:
                state = None
            # The guard shuts its breakers over a state that it cannot understand.
            return state if isinstance(state, dict) else {}
        return None

    # Deliveries.

    def deliver_now(self, sinks: Mapping[str, Any]) -> Mapping[str, DeliveryFailure]:
        """Deliver what local sinks are owed, oldest first; return why, by name, for those that did not take it all.

        Remote ones are left to their workers, which are woken.
        """
        missed: dict[str, DeliveryFailure] = {}
        for name, sink in sinks.items():
            try:
                lane = self._lane(name, sink)
            except JournalError as error:
                missed[name] = DeliveryFailure(str(error))
                continue
            if not lane.local:
                lane.wake()
            elif (why := lane.drain()) is not None:
                missed[name] = why
        return missed

    def attach(self, sinks: Iterable[Any]) -> None:
        """Deliver to these sinks, by their names, what an earlier process left owed to them.

        Raises:
            JournalError: it is closed.
        """
        for sink in sinks:
            if hasattr(sink, "deliver"):
                self._lane(sink.name, sink).wake()

    def _lane(self, name: str, sink: Sink) -> DeliveryWorker:
        self._usable()
        if self._guest:
            raise JournalError(self.path, "a guest delivers nothing")
        with self._lock:
            lane = self._lanes.get(name)
            if lane is None:
                lane = DeliveryWorker(name, sink, self._owed_to, self._commit, self._backoff)
                self._lanes[name] = lane
                self._committer.passengers.append(lane)
            else:
                lane.replace(sink)
            return lane

    def _owed_to(self, name: str, after: int, most: int) -> Sequence[OutboxRow]:
        rows = self._rows(
            "SELECT id, key, record FROM outbox WHERE sink = ? AND id > ? ORDER BY id LIMIT ?", (name, after, most)
        )
        return [OutboxRow(*row) for row in rows]

    def _commit(self) -> None:
        self._committer.submit(lambda _: None)

    def owed(self) -> dict[str, int]:
        """Return how many flags each sink is owed, by name; sinks that are owed none may be left out.

        Raises:
            JournalError: it cannot be read.
        """
        counts = {name: int(count) for name, count in self._rows("SELECT sink, count(*) FROM outbox GROUP BY sink")}
        with self._lock:
            return {
                name: max(0, count - (self._lanes[name].unwritten() if name in self._lanes else 0))
                for name, count in counts.items()
            }

    # What the service and a restart ask.

    def record_policies(self, digest: str, paths: Sequence[str], *, policies: int, reason: str = "") -> None:
        """Write that a policy set serves from now on, or that one was turned down.

        Args:
            digest: of the set; empty where it cannot be read.
            paths: where it was loaded from.
            policies: how many there are.
            reason: why it was turned down, or empty.

        Raises:
            JournalError: it cannot be written.
        """
        told = {"digest": digest, "paths": list(paths), "policies": policies, "reason": reason}
        self._usable()
        self._committer.submit(lambda transaction: transaction.append("policies", canonical(told)))

    def open_steps(self) -> Sequence[OpenedBreaker]:
        """Return the steps that an earlier process began and never ended, oldest first.

        Raises:
            JournalError: it cannot be read.
        """
        owed: dict[str, list[str]] = {}
        for key, sink in self._rows(
            "SELECT key, sink FROM outbox WHERE key IN (SELECT key FROM keys WHERE ended IS NULL) ORDER BY id"
        ):
            owed.setdefault(key, []).append(sink)
        rows = self._rows(
            "SELECT began, coalesce(intent, (SELECT body FROM entries WHERE entries.seq = keys.seq)) FROM keys"
            " WHERE ended IS NULL AND run <> ? ORDER BY seq",
            (self._run,),
        )
        try:
            return [opened(began, body, owed) for began, body in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(self.path, f"it is corrupt: an open step cannot be read ({error})") from error

    def under_way(self) -> Sequence[OpenStep]:
        """Return the agent actions that were accepted and not followed up to their end.

        Raises:
            JournalError: it cannot be read.
        """
        rows = self._rows("SELECT executor, step, details FROM under_way ORDER BY key")
        try:
            return [
                OpenStep(Step.from_dict(json.loads(step)), executor, json.loads(details))
                for executor, step, details in rows
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(self.path, f"it is corrupt: a step under way cannot be read ({error})") from error

    def stats(self) -> dict[str, Any]:
        """Return what a monitor wants to know, as JSON data; counts are since this was opened.

        ``entries``, ``commits`` and ``failures`` of the file; ``late``: outcomes that wait to be written; ``sinks``, by
        name: ``delivered``, ``dead`` and ``owed`` flags.

        Raises:
            JournalError: it cannot be read.
        """
        owed = self.owed()
        with self._lock:
            lanes = dict(self._lanes)
        return {
            "entries": self._committer.entries,
            "commits": self._committer.commits,
            "failures": self._committer.failures,
            "late": len(self._late),
            "sinks": {
                name: {
                    "delivered": lanes[name].delivered if name in lanes else 0,
                    "dead": lanes[name].dead if name in lanes else 0,
                    "owed": owed.get(name, 0),
                }
                for name in sorted({*lanes, *owed})
            },
        }

    def rotate(self) -> int:
        """Move all entries into an older segment now; return how many. It is done by itself too.

        Raises:
            JournalError: it cannot be done; nothing is lost.
        """
        self._usable()
        with self._rotating:
            count = rotate(self.path, self._committer, self._retention)
            self._base += count
            return count

    def _rotate_when_long(self) -> None:
        if self._guest or self._committer.seq - self._base < self._rotate_after or self._rotating.locked():
            return
        threading.Thread(target=self._rotate_quietly, name="spyderresp-rotation", daemon=True).start()

    def _rotate_quietly(self) -> None:
        try:
            self.rotate()
        except JournalError as error:
            if not self._closed:
                _log.error("the journal cannot be rotated, and grows: %s", error)

    def close(self, timeout: float = 5.0) -> None:
        """Deliver what is owed for so many seconds, each sink to its first failure, and close. May be called again."""
        if self._process != os.getpid():
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            lanes = list(self._lanes.values())
        until = time.monotonic() + timeout
        for lane in lanes:
            lane.stop(until)
        for lane in lanes:
            lane.join()
        with self._rotating:
            # Where it cannot be written, the next start says that this process ended without a word.
            with contextlib.suppress(JournalError):
                while len(self._late):
                    self._commit()
                self._committer.submit(lambda transaction: transaction.append("stop", canonical({"run": self._run})))
            with self._reading:
                self._reader.close()
            self._committer.close()
        if self._held is not None:
            self._held.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _usable(self) -> None:
        if self._process != os.getpid():
            raise JournalError(self.path, f"process {self._process} opened it; a forked child opens its own")
        if self._closed:
            raise JournalError(self.path, "it is closed")

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._process != os.getpid():
            self._usable()
        try:
            with self._reading:
                return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise journal_error(self.path, error) from error


def _keep(transaction: Transaction, guard: Callable[[], Mapping[str, Any]] | None) -> None:
    """Keep the state of the breakers as it is when it is written: one taken before could overtake a later one."""
    if guard is not None:
        transaction.execute("INSERT OR REPLACE INTO guard_state VALUES (1, ?)", (canonical(guard()),))
