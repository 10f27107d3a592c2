"""The queue between sources and rounds: bounded, in order, and nothing in it is lost."""

from __future__ import annotations

import threading

import pytest

from spyderresp.service.intake import ClosedError, Delivery, Intake


def delivery(count: int = 1, size: int = 10) -> Delivery:
    return Delivery("s", (b"x" * size + b"\n") * (count - 1) + b"x" * size, 0.0)


def test_what_does_not_fit_is_turned_away():
    intake = Intake(max_events=10, max_bytes=1000)
    assert intake.offer(delivery(8))
    assert not intake.offer(delivery(3))
    assert intake.offer(delivery(2))
    assert intake.full
    taken = intake.take(100)
    assert taken is not None
    assert [item.size for item in taken] == [8, 2]
    assert intake.depth == 0
    assert intake.offer(delivery(1, 900))
    assert not intake.offer(delivery(1, 200))


def test_one_delivery_is_taken_however_large():
    intake = Intake(max_events=10, max_bytes=100)
    assert intake.offer(delivery(1000))
    assert not intake.offer(delivery(1))


def test_rounds_take_whole_deliveries_in_order():
    intake = Intake()
    for count in (5, 4, 3, 20, 1):
        intake.put(delivery(count))
    rounds = [[item.size for item in intake.take(10) or []] for _ in range(4)]
    assert rounds == [[5, 4], [3], [20], [1]]


def test_closed_it_gives_what_it_has_and_takes_nothing():
    intake = Intake()
    intake.put(delivery())
    intake.close()
    with pytest.raises(ClosedError):
        intake.offer(delivery())
    with pytest.raises(ClosedError):
        intake.put(delivery())
    assert len(intake.take(10) or []) == 1
    assert intake.take(10) is None


def test_a_source_waits_for_room_and_is_let_go_at_the_end():
    intake = Intake(max_events=1)
    intake.put(delivery())
    said: list[str] = []

    def put() -> None:
        intake.put(delivery())
        said.append("in")
        try:
            intake.put(delivery())
        except ClosedError:
            said.append("closed")

    thread = threading.Thread(target=put)
    thread.start()
    assert len(intake.take(1) or []) == 1
    # It is in, and the next one is not: for that one there is room only where this one is taken.
    while not said:
        thread.join(0.01)
        assert thread.is_alive()
    assert intake.depth == 1
    intake.close()
    thread.join(240)
    assert said == ["in", "closed"]


def test_nothing_in_time_is_an_empty_round():
    assert Intake().take(10, timeout=0.01) == []
