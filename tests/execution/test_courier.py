"""The queue of remote sinks: bounded, in order, patient, and emptied at the end."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from spyderresp.execution.backoff import Backoff
from spyderresp.execution.interfaces import DeliveryError
from spyderresp.executors.sinks.delivery_queue import DeliveryQueue

QUICK = Backoff(first=0.001, longest=0.002, attempts=None, obeyed=0.02)


class Receiver:
    """Takes records; first answers what it was told to."""

    def __init__(self, *answers: Exception | Callable[[list[Any]], None]) -> None:
        self.answers = list(answers)
        self.batches: list[list[Any]] = []
        self.calls = 0

    def __call__(self, records: list[Mapping[str, Any]]) -> None:
        self.calls += 1
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            answer(records)
        self.batches.append([record["id"] for record in records])

    @property
    def ids(self) -> list[Any]:
        return [number for batch in self.batches for number in batch]


class Gate:
    """Holds a delivery up, so that what is offered meanwhile makes one batch."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, records: list[Any]) -> None:
        self.reached.set()
        assert self.opened.wait(240)


def some(*numbers: int) -> list[Mapping[str, Any]]:
    return [{"id": number} for number in numbers]


def test_delivers_in_order_until_it_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(DeliveryError("down"), DeliveryError("down", retry_after=0.01), OSError("a mistake"))
    courier = DeliveryQueue("x", receiver, backoff=QUICK)
    for number in range(500):
        courier.offer(some(number))
    assert courier.close(240.0) == 0
    assert receiver.ids == list(range(500))
    assert (courier.delivered, courier.refused, len(courier)) == (500, 0, 0)
    assert [record.getMessage() for record in caplog.records] == ["`x` does not take flags, which wait: down"]


def test_a_full_queue_is_said_at_once_and_takes_all_or_none() -> None:
    gate = Gate()
    receiver = Receiver(gate)
    courier = DeliveryQueue("x", receiver, limit=3, backoff=QUICK)
    courier.offer(some(1, 2))
    with pytest.raises(DeliveryError, match="the queue is full: 2 of 3 records wait"):
        courier.offer(some(3, 4))
    courier.offer(some(5))
    gate.opened.set()
    assert courier.close(240.0) == 0
    assert receiver.ids == [1, 2, 5]
    with pytest.raises(DeliveryError, match="`x` is closed"):
        courier.offer(some(6))


def test_one_bad_record_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def picky(records: list[Any]) -> None:
        if any(record["id"] == 3 for record in records):
            raise DeliveryError("bad record", permanent=True)

    gate = Gate()
    receiver = Receiver(gate, *[picky] * 50)
    courier = DeliveryQueue("x", receiver, backoff=QUICK)
    courier.offer(some(0))
    assert gate.reached.wait(240)
    courier.offer(some(1, 2, 3, 4, 5))
    gate.opened.set()
    assert courier.close(240.0) == 0
    assert receiver.ids == [0, 1, 2, 4, 5]
    assert (courier.delivered, courier.refused) == (5, 1)
    assert "refused flag 3 for good, which is lost: bad record" in caplog.text


def test_a_failure_among_the_single_ones_repeats_only_what_is_left() -> None:
    receiver = Receiver(
        DeliveryError("one is bad", permanent=True),
        lambda records: None,
        DeliveryError("down"),
        DeliveryError("one is bad", permanent=True),
    )
    gate = Gate()
    receiver.answers.insert(0, gate)
    courier = DeliveryQueue("x", receiver, backoff=QUICK)
    courier.offer(some(0))
    assert gate.reached.wait(240)
    courier.offer(some(1, 2, 3))
    gate.opened.set()
    assert courier.close(240.0) == 0
    assert receiver.ids == [0, 1, 2, 3]


def test_what_is_left_at_the_end_is_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(*[DeliveryError("down")] * 100_000)
    courier = DeliveryQueue("x", receiver, backoff=QUICK)
    courier.offer(some(*range(7)))
    assert courier.close(0.05) == 7
    assert "closed with 7 flags not delivered: 0, 1, 2, 3, 4 and 2 more" in caplog.text
    for thread in threading.enumerate():
        if thread.name == "spyderresp-x":
            thread.join(240)
            assert not thread.is_alive()


def test_a_deaf_receiver_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    courier = DeliveryQueue("x", Receiver(gate), backoff=QUICK)
    courier.offer(some(1))
    with caplog.at_level(logging.CRITICAL):
        assert courier.close(0.05) == 1
    gate.opened.set()


def test_a_fork_has_a_queue_of_its_own() -> None:
    gate = Gate()
    receiver = Receiver(gate)
    courier = DeliveryQueue("x", receiver, backoff=QUICK)
    courier.offer(some(1))
    # What its worker holds at the fork the child would wait for, for ever.
    assert gate.reached.wait(240)

    def child(answers: Any) -> None:
        assert courier.close() == 0, "the parent's are the parent's"
        receiver.answers.clear()
        receiver.batches.clear()
        courier.offer(some(2))
        left = courier.close(240.0)
        answers.put((left, receiver.ids))

    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=child, args=(answers,))
    process.start()
    assert answers.get(timeout=240) == (0, [2])
    process.join(240)
    gate.opened.set()
    assert courier.close(240.0) == 0
    assert receiver.ids == [1]


AT_EXIT = """
import time
from spyderresp.executors.sinks.delivery_queue import DeliveryQueue
courier = DeliveryQueue("x", lambda records: (time.sleep(0.05), print(*[r["id"] for r in records], flush=True)))
courier.offer([{"id": 1}])
courier.offer([{"id": 2}])
"""


def test_the_end_of_the_process_waits_for_what_is_left() -> None:
    ran = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True, timeout=240, check=True)
    assert ran.stdout.split() == ["1", "2"]


def test_a_queue_has_room() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        DeliveryQueue("x", Receiver(), limit=0)
