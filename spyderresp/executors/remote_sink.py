"""What the sinks have in common that deliver over a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spyderresp.executors.backoff import Backoff
from spyderresp.executors.courier import PATIENT, Courier
from spyderresp.executors.sink import FlagSink


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
        self._courier = Courier(name, self.deliver, limit=queue, backoff=backoff)

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
