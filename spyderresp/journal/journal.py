"""``Journal``: the journal of steps, in one SQLite file."""

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
    AcceptedStep,
    DeliveryFailure,
    Intent,
    JournalError,
    OpenStep,
    RecordedStep,
    Sink,
)
from spyderresp.execution.report import StepOutcome
from spyderresp.execution.steps import Step
from spyderresp.journal.delivery_workers import DeliveryWorker, OutboxRow
from spyderresp.journal.group_commit import Claim, Committer, Transaction, open_step, recorded_step
from spyderresp.journal.hash_chain import canonical
from spyderresp.journal.lock import ClockJumps, ProcessLock
from spyderresp.journal.queries import Ending, LateOutcomes
from spyderresp.journal.schema import connect, journal_error, open_for_writing
from spyderresp.journal.segments import base_of, delete_moved, rotate

_log: Final = logging.getLogger("spyderresp.journal")


@final
class Journal:
    """Records steps and their outcomes in one SQLite file, and delivers flags. Safe to share between threads.

    A context manager: its end delivers flags for a few seconds more and closes the journal. A forked child must open a
    journal of its own.

    ::

        with Journal("/var/lib/spyderresp/journal.sqlite") as journal:
            spyderresp.execute(plan, executors, journal=journal)

    Args:
        path: the file; created if it does not exist, readable by its owner only.
        clock: the clocks; None: those of the system.
        rotate_after: the number of entries after which they move into a segment, ``NAME.0001.sqlite`` and so on.
        retention: for how many seconds at least an ended step is recognised when its event is delivered again.
        backoff: the pauses of a worker whose sink does not take flags; None: the default pauses. Workers never give up.
        guest: whether to append while another process holds the journal, for command-line verbs: a guest takes no lock,
            delivers no flags and does not rotate.

    Raises:
        JournalError: another process holds the journal; or the file cannot be written, is not a journal, or was written
            by a newer release.
        ValueError: ``rotate_after`` or ``retention`` is out of range.
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
        self._workers: dict[str, DeliveryWorker] = {}
        self._lock = threading.Lock()
        self._rotating = threading.Lock()
        self._closed = False
        self._process_lock = None if guest else ProcessLock(self.path)
        with contextlib.ExitStack() as undone:
            if self._process_lock is not None:
                undone.callback(self._process_lock.release)
            self._committer = Committer(self.path, open_for_writing(self.path, guest=guest), self._clock.wall)
            undone.callback(self._committer.close)
            self._reading = threading.Lock()
            self._begun: set[str] = set()
            self._late = LateOutcomes(self._run, self._begun)
            self._jumps = ClockJumps(self._clock)
            self._committer.requests += [self._jumps, self._late]
            try:
                self._reader = connect(self.path, mode="ro")
                undone.callback(self._reader.close)
                self._base = self._start()
            except sqlite3.Error as error:
                raise journal_error(self.path, error) from error
            undone.pop_all()

    def _start(self) -> int:
        """Append the start of this process, and complete a rotation that was interrupted."""
        body = {
            "run": self._run,
            "process": self._process,
            "boot": self._clock.boot(),
            "version": __version__,
            "guest": self._guest,
        }
        self._committer.submit(lambda transaction: transaction.append("start", canonical(body)))
        base = base_of(self._reader)
        if not self._guest:
            delete_moved(self._committer, base)
        return base

    # For `execute`.

    def earlier(self, keys: Sequence[str]) -> Mapping[str, RecordedStep]:
        """Return the records of steps with these keys; keys without a record are left out.

        Raises:
            JournalError: the journal cannot be read.
        """
        rows = self._rows(
            "SELECT key, status, began, ended, run FROM keys WHERE key IN (SELECT value FROM json_each(?))",
            (json.dumps(list(keys)),),
        )
        return {key: recorded_step(self._run, *rest) for key, *rest in rows}

    def begin(
        self,
        intents: Sequence[Intent],
        *,
        guard: Callable[[], Mapping[str, Any]] | None = None,
        take_over: frozenset[str] = frozenset(),
    ) -> Mapping[str, RecordedStep]:
        """Claim steps in one commit; return the records of steps that are claimed already: do not carry those out.

        If two intents have the same key, the step is claimed and is returned too.

        Args:
            intents: the steps.
            guard: returns the state of the breakers, which is stored in the same commit.
            take_over: keys of open steps of an earlier process that this process may claim.

        Raises:
            JournalError: the journal cannot be written; nothing is claimed.
        """
        self._usable()
        claims = [Claim.of(intent, self._run) for intent in intents]
        begun: set[str] = set()

        def work(transaction: Transaction) -> dict[str, RecordedStep]:
            taken: dict[str, RecordedStep] = {}
            begun.clear()
            for claim in claims:
                record = claim.write(transaction, self._run, take_over)
                if record is None:
                    begun.add(claim.key)
                else:
                    taken[claim.key] = record
            _save_guard_state(transaction, guard)
            return taken

        taken = self._committer.submit(work)
        self._begun.update(begun)
        self._rotate_when_long()
        return taken

    def finish(self, outcomes: Iterable[StepOutcome], *, guard: Callable[[], Mapping[str, Any]] | None = None) -> None:
        """Write the outcomes of steps, of begun steps and of others, such as refused ones.

        Raises:
            JournalError: the journal cannot be written now. Outcomes of begun steps are kept in memory, and the next
                commit that works writes them. If the process ends before, the next start checks these steps.
        """
        self._end(outcomes, earlier=False, guard=guard)

    def settle(self, outcomes: Iterable[StepOutcome]) -> None:
        """Write the outcomes of steps that an earlier process began, or that an executor had accepted.

        Raises:
            JournalError: the journal cannot be written; the steps stay open.
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
            _save_guard_state(transaction, guard)

        try:
            self._committer.submit(work)
        except JournalError:
            if not earlier:
                self._late.keep(endings)
            raise
        self._begun.difference_update(ending.key for ending in endings)
        self._rotate_when_long()

    def guard_state(self) -> Mapping[str, Any] | None:
        """Return the latest state of the breakers; None: the journal holds no state.

        Raises:
            JournalError: the journal cannot be read.
        """
        for (text,) in self._rows("SELECT state FROM guard_state"):
            try:
                state = json.loads(text)
            except ValueError:
                state = None
            # An unreadable state becomes {}, for which the guard opens its breakers: it refuses kills for a while.
            return state if isinstance(state, dict) else {}
        return None

    # Delivery of flags.

    def deliver_now(self, sinks: Mapping[str, Any]) -> Mapping[str, DeliveryFailure]:
        """Deliver the flags of local sinks, oldest first; return the failures by sink name. Raise nothing.

        Flags of remote sinks are delivered by threads; this call wakes them and does not wait.
        """
        failures: dict[str, DeliveryFailure] = {}
        for name, sink in sinks.items():
            try:
                worker = self._worker(name, sink)
            except JournalError as error:
                failures[name] = DeliveryFailure(str(error))
                continue
            if not worker.local:
                worker.wake()
            elif (failure := worker.drain()) is not None:
                failures[name] = failure
        return failures

    def attach(self, sinks: Iterable[Any]) -> None:
        """Deliver the flags that an earlier process left for these sinks; sinks are matched by name.

        Raises:
            JournalError: the journal is closed, or open as a guest.
        """
        for sink in sinks:
            if hasattr(sink, "deliver"):
                self._worker(sink.name, sink).wake()

    def _worker(self, name: str, sink: Sink) -> DeliveryWorker:
        self._usable()
        if self._guest:
            raise JournalError(self.path, "a guest delivers nothing")
        with self._lock:
            worker = self._workers.get(name)
            if worker is None:
                worker = DeliveryWorker(name, sink, self._outbox, self._commit, self._backoff)
                self._workers[name] = worker
                self._committer.requests.append(worker)
            else:
                worker.replace(sink)
            return worker

    def _outbox(self, name: str, after: int, most: int) -> Sequence[OutboxRow]:
        rows = self._rows(
            "SELECT id, key, record FROM outbox WHERE sink = ? AND id > ? ORDER BY id LIMIT ?", (name, after, most)
        )
        return [OutboxRow(*row) for row in rows]

    def _commit(self) -> None:
        self._committer.submit(lambda _: None)

    def owed(self) -> dict[str, int]:
        """Return the number of flags that are not delivered yet, by sink; sinks without any may be left out.

        Raises:
            JournalError: the journal cannot be read.
        """
        counts = {name: int(count) for name, count in self._rows("SELECT sink, count(*) FROM outbox GROUP BY sink")}
        with self._lock:
            return {
                name: max(0, count - (self._workers[name].unwritten() if name in self._workers else 0))
                for name, count in counts.items()
            }

    # For the service and for a restart.

    def record_policies(self, digest: str, paths: Sequence[str], *, policies: int, reason: str = "") -> None:
        """Append that a policy set is in force from now on, or that its load failed.

        Args:
            digest: the digest of the set; empty if it cannot be read.
            paths: the files and folders that it was loaded from.
            policies: the number of policies.
            reason: why the load failed; empty if it did not.

        Raises:
            JournalError: the journal cannot be written.
        """
        body = {"digest": digest, "paths": list(paths), "policies": policies, "reason": reason}
        self._usable()
        self._committer.submit(lambda transaction: transaction.append("policies", canonical(body)))

    def open_steps(self) -> Sequence[OpenStep]:
        """Return the steps that an earlier process began and did not end, oldest first.

        Raises:
            JournalError: the journal cannot be read.
        """
        outbox: dict[str, list[str]] = {}
        for key, sink in self._rows(
            "SELECT key, sink FROM outbox WHERE key IN (SELECT key FROM keys WHERE ended IS NULL) ORDER BY id"
        ):
            outbox.setdefault(key, []).append(sink)
        rows = self._rows(
            "SELECT began, coalesce(intent, (SELECT body FROM entries WHERE entries.seq = keys.seq)) FROM keys"
            " WHERE ended IS NULL AND run <> ? ORDER BY seq",
            (self._run,),
        )
        try:
            return [open_step(began, body, outbox) for began, body in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(self.path, f"it is corrupt: an open step cannot be read ({error})") from error

    def under_way(self) -> Sequence[AcceptedStep]:
        """Return the agent actions that an executor accepted and whose final outcome is not recorded yet.

        Raises:
            JournalError: the journal cannot be read.
        """
        rows = self._rows("SELECT executor, step, details FROM under_way ORDER BY key")
        try:
            return [
                AcceptedStep(Step.from_dict(json.loads(step)), executor, json.loads(details))
                for executor, step, details in rows
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(self.path, f"it is corrupt: a step under way cannot be read ({error})") from error

    def stats(self) -> dict[str, Any]:
        """Return counts for monitoring, as JSON data; they begin at 0 when the journal is opened.

        ``entries``, ``commits``, ``failures``: what was written, and commits that failed; ``late``: outcomes that wait
        to be written; ``sinks``: by name, the numbers of flags that are ``delivered``, ``dead`` letters, and ``owed``:
        not delivered yet.

        Raises:
            JournalError: the journal cannot be read.
        """
        owed = self.owed()
        with self._lock:
            workers = dict(self._workers)
        return {
            "entries": self._committer.entries,
            "commits": self._committer.commits,
            "failures": self._committer.failures,
            "late": len(self._late),
            "sinks": {
                name: {
                    "delivered": workers[name].delivered if name in workers else 0,
                    "dead": workers[name].dead if name in workers else 0,
                    "owed": owed.get(name, 0),
                }
                for name in sorted({*workers, *owed})
            },
        }

    def rotate(self) -> int:
        """Move all entries into a new segment now; return their number. This happens by itself, see ``rotate_after``.

        Raises:
            JournalError: the entries cannot be moved; none is lost.
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
        """Deliver flags for ``timeout`` seconds, to each sink until its first failure; then close."""
        if self._process != os.getpid():
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            workers = list(self._workers.values())
        until = time.monotonic() + timeout
        for worker in workers:
            worker.stop(until)
        for worker in workers:
            worker.join()
        with self._rotating:
            # If it cannot be written, this process has no `stop` entry, as after a crash.
            with contextlib.suppress(JournalError):
                while len(self._late):
                    self._commit()
                self._committer.submit(lambda transaction: transaction.append("stop", canonical({"run": self._run})))
            with self._reading:
                self._reader.close()
            self._committer.close()
        if self._process_lock is not None:
            self._process_lock.release()

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


def _save_guard_state(transaction: Transaction, guard: Callable[[], Mapping[str, Any]] | None) -> None:
    """Store the state of the breakers. Call ``guard`` here: a state taken earlier could overwrite a newer one."""
    if guard is not None:
        transaction.execute("INSERT OR REPLACE INTO guard_state VALUES (1, ?)", (canonical(guard()),))
