"""Base classes of sinks, and the queue in memory that remote sinks use without a journal."""

from __future__ import annotations

import atexit
import itertools
import json
import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from spyderresp.execution.backoff import Backoff
from spyderresp.execution.flags import enveloped
from spyderresp.execution.interfaces import DeliveryError, Executor
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, error_text
from spyderresp.execution.steps import Step
from spyderresp.policies.vocabulary import FLAGS

_log: Final = logging.getLogger(__name__)
_BATCH: Final = 100
#: Never gives up, because flags in a queue are stored nowhere else.
FOREVER: Final = Backoff(attempts=None)
# Seconds that the end of the process waits for the deliveries that are left.
_EXIT_SECONDS: Final = 5.0


class DeliveryQueue:
    """A bounded queue of records in memory, and a thread that delivers them in order until they are accepted.

    ``deliver`` makes one attempt to deliver records; it raises ``DeliveryError``.

    Attributes:
        delivered: the number of records that were accepted.
        refused: the number of records that the sink refused for good; they are lost.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[list[Mapping[str, Any]]], None],
        *,
        limit: int = 10_000,
        backoff: Backoff = FOREVER,
        draw: Callable[[], float] = random.random,
    ) -> None:
        if limit < 1:
            raise ValueError("a queue must hold at least one record")
        self.delivered = 0
        self.refused = 0
        self._name = name
        self._deliver = deliver
        self._limit = limit
        self._backoff = backoff
        self._draw = draw
        self._reset()

    def _reset(self) -> None:
        """Start with an empty queue. A forked child does so too, because the parent delivers the parent's records."""
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._given_up = False

    def __len__(self) -> int:
        """The number of records that are not delivered yet."""
        return len(self._waiting)

    def offer(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Queue records, all or none. Raise ``DeliveryError`` if the queue is full or closed."""
        if self._process != os.getpid():
            self._reset()
        with self._changed:
            if self._closed:
                raise DeliveryError(f"`{self._name}` is closed")
            if len(self._waiting) + len(records) > self._limit:
                raise DeliveryError(f"the queue is full: {len(self._waiting)} of {self._limit} records wait")
            self._waiting.extend(records)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"spyderresp-{self._name}", daemon=True)
                self._thread.start()
                atexit.register(self.close, _EXIT_SECONDS)
            self._changed.notify_all()

    def close(self, timeout: float = 10.0) -> int:
        """Deliver for at most ``timeout`` seconds, then close; return the number of records that were not delivered."""
        if self._process != os.getpid():
            return 0
        deadline = time.monotonic() + timeout
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._waiting and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            self._given_up = True
            self._changed.notify_all()
            thread, lost = self._thread, list(self._waiting)
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
            atexit.unregister(self.close)
        if lost:
            _log.error("`%s` is closed with %d flags not delivered: %s", self._name, len(lost), _ids(lost))
        return len(lost)

    def _run(self) -> None:
        failures = 0
        while (batch := self._next()) is not None:
            failure = self._attempt(batch)
            if failure is None:
                failures = 0
                continue
            failures += 1
            if failures == 1:
                _log.error("`%s` does not take flags, which wait: %s", self._name, failure)
            self._pause(self._backoff.wait(failures, failure.retry_after, self._draw))

    def _next(self) -> list[Mapping[str, Any]] | None:
        """Wait for records and return the next batch; None if the queue is closed and empty, or was given up."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._given_up or not self._waiting:
                return None
            return list(itertools.islice(self._waiting, _BATCH))

    def _attempt(self, batch: list[Mapping[str, Any]]) -> DeliveryError | None:
        """Deliver a batch; return the failure if another attempt may succeed."""
        try:
            self._deliver(batch)
        except DeliveryError as error:
            if not error.permanent:
                return error
            if len(batch) > 1:
                # One record is bad. Deliver one by one, so that the others arrive.
                return next((failure for item in batch if (failure := self._attempt([item])) is not None), None)
            _log.error("`%s` refused flag %s for good, which is lost: %s", self._name, _ids(batch), error)
            self._remove(batch, delivered=False)
        except Exception as error:  # noqa: BLE001 - an error in a sink must not end the thread
            return DeliveryError(error_text(error))
        else:
            self._remove(batch, delivered=True)
        return None

    def _remove(self, batch: list[Mapping[str, Any]], *, delivered: bool) -> None:
        with self._changed:
            for _ in batch:
                self._waiting.popleft()
            if delivered:
                self.delivered += len(batch)
            else:
                self.refused += len(batch)
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        """Wait for a number of seconds, or until the queue is given up."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._given_up and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)


def _ids(records: Sequence[Mapping[str, Any]]) -> str:
    shown = ", ".join(str(record.get("id")) for record in records[:5])
    return shown if len(records) <= 5 else f"{shown} and {len(records) - 5} more"


_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False, default=repr).encode


class FlagSink(Executor):
    """The base class of the sinks that ship. It raises ``ValueError`` for other actions and unknown envelopes."""

    name: str = ""
    actions: frozenset[str] = FLAGS

    def __init__(self, name: str, actions: Iterable[str], envelope: str | None) -> None:
        self.name = name
        self.actions = frozenset(actions)
        if not self.actions or not self.actions <= FLAGS:
            raise ValueError("a sink takes `makeRedFlag`, `makeOpsFlag`, or both")
        self._enveloped = enveloped(envelope)

    def resolve(self, step: Step, protection: Protection) -> Result:  # noqa: ARG002 - the protocol's signature
        """Return ``failed``: a sink has no targets. ``execute`` calls ``deliver`` instead."""
        return Result("failed", f"`{self.name}` delivers flag records and has no targets")

    def text(self, record: Mapping[str, Any]) -> str:
        """Return a record in its envelope as JSON: ASCII, on one line."""
        return _encode(self._enveloped(record))


class RemoteFlagSink(FlagSink):
    """The base class of the sinks that deliver over a network.

    Without a journal, flags wait in a queue in memory; with one, the journal's thread delivers them.

    Attributes:
        local: False: delivery needs the network.
    """

    local = False

    def __init__(
        self, name: str, actions: Iterable[str], envelope: str | None, queue: int, backoff: Backoff = FOREVER
    ) -> None:
        super().__init__(name, actions, envelope)
        self._queue = DeliveryQueue(name, self.deliver, limit=queue, backoff=backoff)

    @property
    def waiting(self) -> int:
        """The number of records in the queue."""
        return len(self._queue)

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Make one attempt to deliver records, all or none.

        Raises:
            DeliveryError: the records were not delivered, or no answer came.
        """
        raise NotImplementedError

    def offer(self, records: list[Mapping[str, Any]]) -> None:
        """Queue records and return at once.

        Raises:
            DeliveryError: the queue is full.
        """
        self._queue.offer(records)

    def close(self, timeout: float = 10.0) -> None:
        """Deliver for at most ``timeout`` seconds, then close. Records that are left are logged and lost."""
        self._queue.close(timeout)
