"""A bounded queue in memory, and one thread that delivers from it: what remote sinks do without a journal."""

from __future__ import annotations

import atexit
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
from spyderresp.execution.interfaces import DeliveryError
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result
from spyderresp.execution.steps import Step
from spyderresp.policies.vocabulary import FLAGS

_log: Final = logging.getLogger(__name__)
_BATCH: Final = 100
#: Tries for ever: what is in the queue is nowhere else.
PATIENT: Final = Backoff(attempts=None)
# How long the end of the process waits for what is left.
_LAST_WAIT: Final = 5.0


class DeliveryQueue:
    """Delivers records in their order, again and again until they are taken.

    Args:
        name: the sink's, for messages.
        deliver: the sink's: one attempt.
        limit: the most records that wait.
        backoff: how long to wait after a failure.
        draw: a number from 0 up to 1.

    Attributes:
        delivered: how many were taken.
        refused: how many never will be, and were given up.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[list[Mapping[str, Any]]], None],
        *,
        limit: int = 10_000,
        backoff: Backoff = PATIENT,
        draw: Callable[[], float] = random.random,
    ) -> None:
        if limit < 1:
            raise ValueError("a queue holds at least one record")
        self.delivered = 0
        self.refused = 0
        self._name = name
        self._deliver = deliver
        self._limit = limit
        self._backoff = backoff
        self._draw = draw
        self._renew()

    def _renew(self) -> None:
        """Begin with nothing: at first, and in a process that was forked off, where the parent's are the parent's."""
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._given_up = False

    def __len__(self) -> int:
        """How many wait, or are on their way."""
        return len(self._waiting)

    def offer(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Take records for later, all or none.

        Raises:
            DeliveryError: there is no room for them, or the sink is closed.
        """
        if self._process != os.getpid():
            self._renew()
        with self._changed:
            if self._closed:
                raise DeliveryError(f"`{self._name}` is closed")
            if len(self._waiting) + len(records) > self._limit:
                raise DeliveryError(f"the queue is full: {len(self._waiting)} wait, and {self._limit} may")
            self._waiting.extend(records)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"spyderresp-{self._name}", daemon=True)
                self._thread.start()
                atexit.register(self.close, _LAST_WAIT)
            self._changed.notify_all()

    def close(self, timeout: float = 10.0) -> int:
        """Take no more, deliver what waits, and return how many are left after ``timeout`` seconds."""
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
        """Return what is next, once there is something; None at the end."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._given_up or not self._waiting:
                return None
            return [self._waiting[place] for place in range(min(_BATCH, len(self._waiting)))]

    def _attempt(self, batch: list[Mapping[str, Any]]) -> DeliveryError | None:
        """Deliver a batch; return why not, where another attempt may help."""
        try:
            self._deliver(batch)
        except DeliveryError as error:
            if not error.permanent:
                return error
            if len(batch) > 1:
                # One of them is at fault; the others must not suffer for it.
                return next((failure for item in batch if (failure := self._attempt([item])) is not None), None)
            _log.error("`%s` will never take flag %s, which is lost: %s", self._name, _ids(batch), error)
            self._settle(batch, taken=False)
        except Exception as error:  # noqa: BLE001 - the thread must live; what a sink raises by mistake may pass
            return DeliveryError(f"{type(error).__name__}: {error}")
        else:
            self._settle(batch, taken=True)
        return None

    def _settle(self, batch: list[Mapping[str, Any]], *, taken: bool) -> None:
        with self._changed:
            for _ in batch:
                self._waiting.popleft()
            if taken:
                self.delivered += len(batch)
            else:
                self.refused += len(batch)
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        """Wait; closing ends it only where the time is up."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._given_up and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)


def _ids(records: Sequence[Mapping[str, Any]]) -> str:
    shown = ", ".join(str(record.get("id")) for record in records[:5])
    return shown if len(records) <= 5 else f"{shown} and {len(records) - 5} more"


# What the sinks that ship have in common.

_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False, default=repr).encode


class FlagSink:
    """The half of a sink that is the same for all: its name, what it takes, the envelope.

    Args:
        name: what reports and the journal call it.
        actions: `makeRedFlag`, `makeOpsFlag`, or both.
        envelope: ``cloudevents``, ``ocsf``, or None for the record as it is.

    Raises:
        ValueError: it cannot take one of the actions, or there is no such envelope.
    """

    def __init__(self, name: str, actions: Iterable[str], envelope: str | None) -> None:
        self.name = name
        self.actions = frozenset(actions)
        if not self.actions or not self.actions <= FLAGS:
            raise ValueError("a sink takes `makeRedFlag`, `makeOpsFlag`, or both")
        self._enveloped = enveloped(envelope)

    def resolve(self, step: Step, protection: Protection) -> Result:  # noqa: ARG002 - the protocol's signature
        """Never asked: a sink delivers."""
        return Result("failed", f"`{self.name}` takes flag records, and no targets")

    def text(self, record: Mapping[str, Any]) -> str:
        """Return a record in its envelope as JSON: ASCII, on one line."""
        return _encode(self._enveloped(record))


# What the sinks have in common that deliver over a network.


class RemoteFlagSink(FlagSink):
    """A sink with a queue of its own, for hosts without a journal; with one, the journal's worker delivers.

    Args:
        name: what reports and the journal call it.
        actions: what it takes.
        envelope: ``cloudevents``, ``ocsf`` or None.
        queue: how many records may wait in memory.
        backoff: how long its own queue waits after a failure.
    """

    local = False

    def __init__(
        self, name: str, actions: Iterable[str], envelope: str | None, queue: int, backoff: Backoff = PATIENT
    ) -> None:
        super().__init__(name, actions, envelope)
        self._courier = DeliveryQueue(name, self.deliver, limit=queue, backoff=backoff)

    @property
    def waiting(self) -> int:
        """How many records are in its queue."""
        return len(self._courier)

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Make one attempt to deliver records, all or none.

        Raises:
            DeliveryError: they were not taken, as far as can be told.
        """
        raise NotImplementedError

    def offer(self, records: list[Mapping[str, Any]]) -> None:
        """Take records for later, at once.

        Raises:
            DeliveryError: the queue is full.
        """
        self._courier.offer(records)

    def close(self, timeout: float = 10.0) -> None:
        """Deliver what waits, for at most ``timeout`` seconds, and take no more. What is left is logged, and lost."""
        self._courier.close(timeout)
