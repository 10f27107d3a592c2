"""Delivers the flags in the outbox: one worker for each sink, so that a sink that fails delays no other.

A worker delivers the oldest flags first, in bounded batches. The next commit deletes delivered flags from the outbox.
After a crash before that commit they are delivered again, with the same ids.
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
from spyderresp.execution.report import error_text
from spyderresp.journal.group_commit import Transaction
from spyderresp.journal.hash_chain import canonical

#: The most records of one call of ``Sink.deliver``.
BATCH: Final = 100
# The most keys of dead letters that `drain` returns.
_MAX_DEAD_KEYS: Final = 1_000
_log: Final = logging.getLogger("spyderresp.journal")


def _safe(reason: str) -> str:
    """Return the text of a receiver, with all characters escaped that could control a terminal."""
    return ascii(reason)[1:-1]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A flag that is not delivered to a sink yet.

    Attributes:
        id: its number in the outbox; rows are delivered in this order.
        key: the key of the flag's step.
        text: the record as JSON.
    """

    id: int
    key: str
    text: str

    @property
    def record(self) -> Mapping[str, Any]:
        """The record as JSON data."""
        data: Mapping[str, Any] = json.loads(self.text)
        return data


class DeliveryWorker:
    """Delivers the flags of one sink. Safe to use from several threads; one thread at a time delivers.

    ``read`` returns rows of the outbox, by sink, id of the row before the first, and number of rows at most. ``commit``
    writes the results of deliveries to the journal now. ``backoff`` has the pauses after failures.

    Attributes:
        name: the name of the sink.
        delivered: the number of flags that were delivered.
        dead: the number of flags that became dead letters.
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
        # Held while a batch is delivered.
        self._delivering = threading.Lock()
        # Guards the attributes that follow. Held briefly.
        self._state = threading.Lock()
        # The id of the last row that is delivered or a dead letter.
        self._upto = 0
        self._delivered: list[OutboxRow] = []
        self._dead: list[tuple[OutboxRow, str]] = []
        # The latest failure: id of the row, number of attempts, reason.
        self._failure: tuple[int, int, str] | None = None
        # What the last `write` wrote: the numbers of delivered rows and of dead letters, and the failure.
        self._writing: tuple[int, int, tuple[int, int, str] | None] = (0, 0, None)
        self._failures = 0
        # Kept for `drain`: the batch of another thread may have delivered the flags of its caller.
        self._dead_keys: deque[str] = deque(maxlen=_MAX_DEAD_KEYS)
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._until = float("inf")
        self.delivered = 0
        self.dead = 0

    @property
    def local(self) -> bool:
        """Whether delivery is quick and needs no network, so that a caller can wait for it."""
        return bool(self._sink.local)

    def replace(self, sink: Sink) -> None:
        """Use another object for the same sink from now on."""
        self._sink = sink

    def drain(self) -> DeliveryFailure | None:
        """Deliver all flags of the outbox now; return why some were not delivered, or None."""
        reason = ""
        with self._delivering:
            while True:
                failure, count = self._deliver_batch()
                if failure is not None:
                    self.start()
                    reason = str(failure)
                if failure is not None or not count:
                    break
            dead = frozenset(self._dead_keys)
        return DeliveryFailure(reason, dead) if reason or dead else None

    def _deliver_batch(self) -> tuple[DeliveryError | None, int]:
        """Deliver one batch; return the failure, if any, and the number of flags in the batch."""
        try:
            batch = self._read(self.name, self._upto, BATCH)
        except JournalError as error:
            return DeliveryError(f"the journal cannot be read: {error.reason}"), 0
        if not batch:
            return None, 0
        failure = self._deliver(batch)
        if failure is not None:
            self._failed(batch, failure)
        elif self._failures:
            _log.warning("sink `%s` takes flags again, after %d failures", self.name, self._failures)
            self._failures = 0
        return failure, len(batch)

    def _deliver(self, batch: Sequence[OutboxRow]) -> DeliveryError | None:
        try:
            self._sink.deliver([item.record for item in batch])
        except DeliveryError as error:
            if not error.permanent:
                return error
            if len(batch) > 1:
                # One record is bad. Deliver one by one, so that the others arrive.
                for item in batch:
                    if (failure := self._deliver([item])) is not None:
                        return failure
                return None
            self._dead_letter(batch[0], str(error))
        except Exception as error:  # noqa: BLE001 - an error in a sink must stop neither the caller nor the worker
            return DeliveryError(error_text(error))
        else:
            self._mark_delivered(batch)
        return None

    def _mark_delivered(self, batch: Sequence[OutboxRow]) -> None:
        with self._state:
            self._delivered += batch
            self._upto = batch[-1].id
            self.delivered += len(batch)

    def _dead_letter(self, item: OutboxRow, reason: str) -> None:
        message = "sink `%s` refused flag %s for good; the journal keeps it as a dead letter: %s"
        _log.error(message, self.name, item.key, _safe(reason))
        with self._state:
            self._dead.append((item, reason))
            self._dead_keys.append(item.key)
            self._upto = item.id
            self.dead += 1

    def _failed(self, batch: Sequence[OutboxRow], failure: DeliveryError) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.error("sink `%s` does not take flags, which the journal keeps: %s", self.name, _safe(str(failure)))
        with self._state:
            row = next((item.id for item in batch if item.id > self._upto), batch[-1].id)
            self._failure = (row, self._failures, str(failure))

    def unwritten(self) -> int:
        """Return how many flags are delivered or dead letters, but not deleted from the outbox yet."""
        with self._state:
            return len(self._delivered) + len(self._dead)

    def write(self, transaction: Transaction) -> None:
        """Write the results of deliveries: delete rows of the outbox; append deliveries and dead letters."""
        with self._state:
            upto, delivered, dead, failure = self._upto, tuple(self._delivered), tuple(self._dead), self._failure
        self._writing = (len(delivered), len(dead), failure)
        # Rows are delivered in order: all up to `upto` are delivered or dead letters.
        if delivered or dead:
            transaction.execute("DELETE FROM outbox WHERE sink = ? AND id <= ?", (self.name, upto))
        if delivered:
            body: dict[str, Any] = {"sink": self.name, "flags": [item.key for item in delivered]}
            transaction.append("delivery", canonical(body))
        for item, reason in dead:
            body = {"sink": self.name, "reason": reason, "record": item.record}
            transaction.append("dead_letter", canonical(body), item.key)
        if failure is not None:
            row, attempts, error = failure
            transaction.execute("UPDATE outbox SET attempts = ?, error = ? WHERE id = ?", (attempts, error, row))

    def written(self) -> None:
        """Forget the results that were written."""
        (delivered, dead, failure), self._writing = self._writing, (0, 0, None)
        with self._state:
            del self._delivered[:delivered]
            del self._dead[:dead]
            if self._failure is failure:
                self._failure = None

    def wake(self) -> None:
        """Make the worker read the outbox. A pause after a failure is not cut short."""
        self.start()
        self._wake.set()

    def start(self) -> None:
        """Start the worker, if it does not run."""
        with self._state:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._work, name=f"spyderresp-{self.name}", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        failures = 0
        while not self._stop.is_set() or time.monotonic() < self._until:
            self._wake.clear()
            with self._delivering:
                failure, count = self._deliver_batch()
            self._write_results(count, failure)
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

    def _write_results(self, count: int, failure: DeliveryError | None) -> None:
        if count or failure is not None:
            try:
                self._commit()
            except JournalError as error:
                # The next commit that works writes them.
                _log.error("deliveries to `%s` cannot be recorded yet: %s", self.name, error)

    def stop(self, until: float) -> None:
        """End the worker at the first failure, at an empty outbox, or at ``until`` (in ``time.monotonic`` seconds)."""
        with self._state:
            self._until = until
            self._stop.set()
        self._wake.set()

    def join(self) -> None:
        """Wait until the worker has ended, at most until the argument of ``stop``."""
        if self._thread is not None:
            self._thread.join(max(0.0, self._until - time.monotonic()))
