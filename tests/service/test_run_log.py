"""What a run tells on standard error."""

from __future__ import annotations

from typing import Any

import pytest

from spyderresp.cli import run_log
from spyderresp.cli.run_log import RunLog, StdoutFlags
from spyderresp.cli.terminal import Streams
from spyderresp.errors import EventError
from spyderresp.executors import DeliveryError
from spyderresp.service.intake import BadRecord


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

        def time(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(run_log, "time", clock)
    return clock


def bads(log: RunLog, count: int) -> None:
    for number in range(count):
        log.bad("http", BadRecord(number, EventError("id", "is wrong")))


def test_whoever_sends_bad_events_for_ever_does_not_fill_the_disk(capsys, clock):
    log = RunLog(Streams(), "text", bounded=True)
    bads(log, 50)
    log.flush()
    clock.now += 1
    bads(log, 3)
    log.flush()
    clock.now += 1
    log.flush()
    lines = capsys.readouterr().err.splitlines()
    assert sum(": error: id: is wrong" in line for line in lines) == 23
    assert [line for line in lines if "more bad events" in line] == ["spyderresp: error: 30 more bad events"]
    assert log.bad_events == 53


def test_what_is_held_back_is_told_at_the_end(capsys, clock):
    log = RunLog(Streams(), "text", bounded=True)
    bads(log, 25)
    log.end()
    assert "5 more bad events" in capsys.readouterr().err


def test_a_file_has_every_bad_event_named(capsys, clock):
    log = RunLog(Streams(), "text")
    bads(log, 500)
    assert len(capsys.readouterr().err.splitlines()) == 500


def test_standard_output_that_goes_away_ends_the_run(monkeypatch):
    streams = Streams()
    sink = StdoutFlags(streams)
    log = RunLog(streams, "quiet", sink)
    log.flush()

    def gone(text: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(streams, "write", gone)
    with pytest.raises(DeliveryError):
        sink.deliver([{"id": "1"}])
    with pytest.raises(BrokenPipeError):
        log.flush()
