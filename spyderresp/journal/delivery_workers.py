"""Deliveries: one lane for each sink, so that a dead one delays no other. Oldest first, in bounded batches.

What was delivered is struck off with the next commit: a crash in between delivers it again, under the same id.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.execution.backoff import Backoff
from spyderresp.execution.interfaces import DeliveryError, DeliveryFailure, JournalError, Sink
from spyderresp.journal.group_commit import Transaction
from spyderresp.journal.hash_chain import canonical

#: How many records a sink is handed at most.
BATCH: Final = 100
# Keys of dead letters that are told to whoever asks.
_REMEMBERED: Final = 1_000
_log: Final = logging.getLogger("spyderresp.journal")


def _safe(reason: str) -> str:
    """Return what a receiver said, as a log may print it on a terminal."""
    return ascii(reason)[1:-1]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A record that a sink is owed.

    Attributes:
        id: its place in the outbox.
        key: of the flag's step.
        text: the record as JSON.
    """

    id: int
    key: str
    text: str

    @property
    def record(self) -> Mapping[str, Any]:
        data: Mapping[str, Any] = json.loads(self.text)
        return data


@dataclass(frozen=True, slots=True)
class _Marks:
    """What happened and is not yet written."""

    upto: int
    delivered: tuple[OutboxRow, ...] = ()
    dead: tuple[tuple[OutboxRow, str], ...] = ()
    failure: tuple[int, int, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.delivered or self.dead or self.failure)


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str
    retry_after: float | None = None


class DeliveryWorker:
    """What one sink is owed, and what it got. Safe to use from several threads; one at a time delivers.

    Args:
        name: of the sink.
        sink: it.
        read: returns what the sink is owed after a place in the outbox, at most so many.
        commit: writes what rides along, now.
        backoff: how patiently a worker tries again.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        read: Callable[[str, int, int], Sequence[OutboxRow]],
        commit: Callable[[], None],
        backoff: Backoff,
    ) -> None:
        self.name = name
        self._sink = sink
        self._read = read
        self._commit = commit
        self._backoff = backoff
        # Held while a batch is out.
        self._delivering = threading.Lock()
        # Guards what follows, for moments.
        self._state = threading.Lock()
        self._upto = 0
        self._delivered: list[OutboxRow] = []
        self._dead: list[tuple[OutboxRow, str]] = []
        self._failure: tuple[int, int, str] | None = None
        self._writing = _Marks(0)
        self._failures = 0
        # Those who ask may have had their flags delivered by another thread's batch.
        self._buried: deque[str] = deque(maxlen=_REMEMBERED)
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._until = float("inf")
        self.delivered = 0
        self.dead = 0

    @property
    def local(self) -> bool:
        """Whether deliveries are quick enough to wait for."""
        return bool(self._sink.local)

    def replace(self, sink: Sink) -> None:
        """Deliver to this object from now on."""
        self._sink = sink

    def drain(self) -> DeliveryFailure | None:
        """Deliver all that is owed, now; return why not all was."""
        reason = ""
        with self._delivering:
            while True:
                failure, count = self._round()
                if failure is not None:
                    self.start()
                    reason = failure.reason
                if failure is not None or not count:
                    break
            buried = frozenset(self._buried)
        return DeliveryFailure(reason, buried) if reason or buried else None

    def _round(self) -> tuple[_Failure | None, int]:
        """Deliver one batch; return what went wrong, and how many there were to deliver."""
        try:
            batch = self._read(self.name, self._upto, BATCH)
        except JournalError as error:
            return _Failure(f"the journal cannot be read: {error.reason}"), 0
        if not batch:
            return None, 0
        failure = self._deliver(batch)
        if failure is not None:
            self._failed(batch, failure)
        elif self._failures:
            _log.warning("sink `%s` takes flags again, after %d failures", self.name, self._failures)
            self._failures = 0
        return failure, len(batch)

    def _deliver(self, batch: Sequence[OutboxRow]) -> _Failure | None:
        try:
            self._sink.deliver([item.record for item in batch])
        except DeliveryError as error:
            if not error.permanent:
                return _Failure(str(error), error.retry_after)
            if len(batch) > 1:
                # One of them is at fault; the others must not suffer for it.
                for item in batch:
                    if (failure := self._deliver([item])) is not None:
                        return failure
                return None
            self._bury(batch[0], str(error))
        except Exception as error:  # noqa: BLE001 - a sink's fault must stop neither the caller nor the worker
            return _Failure(f"{type(error).__name__}: {error}")
        else:
            self._took(batch)
        return None

    def _took(self, batch: Sequence[OutboxRow]) -> None:
        with self._state:
            self._delivered += batch
            self._upto = batch[-1].id
            self.delivered += len(batch)

    def _bury(self, item: OutboxRow, reason: str) -> None:
        _log.error(
            "sink `%s` will never take flag %s, now a dead letter in the journal: %s",
            self.name,
            item.key,
            _safe(reason),
        )
        with self._state:
            self._dead.append((item, reason))
            self._buried.append(item.key)
            self._upto = item.id
            self.dead += 1

    def _failed(self, batch: Sequence[OutboxRow], failure: _Failure) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.error("sink `%s` does not take flags, which the journal keeps: %s", self.name, _safe(failure.reason))
        with self._state:
            left = next((item.id for item in batch if item.id > self._upto), batch[-1].id)
            self._failure = (left, self._failures, failure.reason)

    def unwritten(self) -> int:
        """Return how many are delivered or dead and still stand in the outbox."""
        with self._state:
            return len(self._delivered) + len(self._dead)

    def write(self, transaction: Transaction) -> None:
        """Strike off what was delivered, and put dead letters into the journal."""
        with self._state:
            marks = _Marks(self._upto, tuple(self._delivered), tuple(self._dead), self._failure)
        self._writing = marks
        if not marks:
            return
        # All up to the last were delivered or buried, because the oldest goes first.
        if marks.delivered or marks.dead:
            transaction.execute("DELETE FROM outbox WHERE sink = ? AND id <= ?", (self.name, marks.upto))
        if marks.delivered:
            told = {"sink": self.name, "flags": [item.key for item in marks.delivered]}
            transaction.append("delivery", canonical(told))
        for item, reason in marks.dead:
            said = {"sink": self.name, "reason": reason, "record": item.record}
            transaction.append("dead_letter", canonical(said), item.key)
        if marks.failure is not None:
            place, attempts, error = marks.failure
            transaction.execute("UPDATE outbox SET attempts = ?, error = ? WHERE id = ?", (attempts, error, place))

    def written(self) -> None:
        """Forget what was written."""
        marks, self._writing = self._writing, _Marks(0)
        with self._state:
            del self._delivered[: len(marks.delivered)]
            del self._dead[: len(marks.dead)]
            if self._failure is marks.failure:
                self._failure = None

    def wake(self) -> None:
        """Let the worker look for what is owed; a wait after a failure is not cut short."""
        self.start()
        self._wake.set()

    def start(self) -> None:
        """Start the worker, where it does not run."""
        with self._state:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._work, name=f"spyderresp-{self.name}", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        failures = 0
        while not self._stop.is_set() or time.monotonic() < self._until:
            self._wake.clear()
            with self._delivering:
                failure, count = self._round()
            self._strike_off(count, failure)
            if failure is not None:
                if self._stop.is_set():
                    return
                failures += 1
                self._stop.wait(self._backoff.wait(failures, failure.retry_after))
            elif count:
                failures = 0
            elif self._stop.is_set():
                return
            else:
                self._wake.wait()

    def _strike_off(self, count: int, failure: _Failure | None) -> None:
        if count or failure is not None:
            try:
                self._commit()
            except JournalError as error:
                # They ride along with the next commit that works.
                _log.error("deliveries to `%s` cannot be written down yet: %s", self.name, error)

    def stop(self, until: float) -> None:
        """Deliver what is owed until a moment of ``time.monotonic`` or the first failure, and end the worker."""
        with self._state:
            self._until = until
            self._stop.set()
        self._wake.set()

    def join(self) -> None:
        """Wait for the worker, not longer than it may take."""
        if self._thread is not None:
            self._thread.join(max(0.0, self._until - time.monotonic()))
