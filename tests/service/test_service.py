"""The life of a service: how it ends, whatever its parts do."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from service.conftest import Heard, line

from spyderresp.executors import Recording
from spyderresp.service.config.build import SourceFactory
from spyderresp.service.config.settings import Settings
from spyderresp.service.config.source_settings import SOURCES, Address
from spyderresp.service.intake import ClosedError, Delivery, Intake
from spyderresp.service.metrics import StateReader
from spyderresp.service.service import Service
from spyderresp.service.sources.base import SourceError, Stop
from spyderresp.service.sources.file import Positions


class Given:
    """A source that hands in what it was given, and then ends, fails, or waits."""

    def __init__(self, name: str, *bodies: bytes, fails: str = "", waits: bool = False) -> None:
        self.name = name
        self.closed = False
        self.opened = False
        self._bodies = bodies
        self._fails = fails
        self._waits = waits

    def open(self) -> None:
        if self._fails == "open":
            raise SourceError(f"{self.name}: cannot be opened")
        self.opened = True

    def run(self, intake: Intake, stop: Stop) -> None:
        for body in self._bodies:
            try:
                intake.put(Delivery(self.name, body, time.time()))
            except ClosedError:
                return
        if self._fails == "run":
            raise SourceError(f"{self.name}: went away")
        if self._waits:
            stop.wait(240)

    def close(self) -> None:
        self.closed = True


def test_it_ends_with_its_sources(context, heard):
    sources = [Given("a", line(1)), Given("b", line(2), line(3))]
    ending = Service(sources, Intake(), context).run()
    assert (ending.signal, ending.failures, ending.undecided) == (0, (), 0)
    assert context.counts.decided == 3
    assert all(source.closed for source in sources)


def test_a_source_that_cannot_be_opened(context):
    sources = [Given("a", line(1)), Given("b", fails="open")]
    with pytest.raises(SourceError, match="b: cannot be opened"):
        Service(sources, Intake(), context).run()
    # Nothing was read, and what was opened is closed.
    assert context.counts.decided == 0
    assert sources[0].closed


def test_a_source_that_fails_keeps_the_others(context, heard):
    ending = Service([Given("a", line(1), fails="run"), Given("b", line(2))], Intake(), context).run()
    assert ending.failures == ("a: went away",)
    assert context.counts.decided == 2
    assert ("error", "a: went away") in heard.said


def test_told_to_stop_it_finishes_what_was_accepted(context, until):
    intake = Intake()
    given = Given("a", *(line(n, "fine") for n in range(5000)), waits=True)
    service = Service([given], intake, context, drain=240)
    threading.Thread(target=lambda: (until(lambda: context.counts.decided), service.stop(15))).start()
    ending = service.run()
    assert (ending.signal, ending.undecided) == (15, 0)
    assert context.counts.decided == 5000


class Stuck(Recording):
    """An executor that does not come back until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.let = threading.Event()

    def note(self, step: Any) -> Any:
        self.begun.set()
        self.let.wait(240)
        return super().note(step)


def test_draining_is_bounded(context):
    stuck = Stuck()
    service = Service(
        [Given("a", line(1), *(line(n) for n in range(2, 9)), waits=True)],
        Intake(),
        replace(context, executors=(stuck,)),
        drain=0.3,
    )
    threading.Thread(target=lambda: (stuck.begun.wait(240), service.stop(15))).start()
    ending = service.run()
    assert ending.signal == 15
    # Nobody let it go: the end did not wait for it.
    assert not stuck.let.is_set()
    assert stuck.acted == []
    stuck.let.set()


def test_what_ends_the_rounds_ends_the_service(context):
    class Gone(Heard):
        def flush(self) -> None:
            raise BrokenPipeError

    # A queue of one: the source is held up when the rounds end, and must be let go.
    service = Service(
        [Given("a", *(line(n) for n in range(50)))], Intake(max_events=1), replace(context, observer=Gone())
    )
    with pytest.raises(BrokenPipeError):
        service.run()


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_what_ends_the_rounds_ends_a_service_that_a_sender_waits_for(context, until, kind):
    class Gone(Heard):
        def flush(self) -> None:
            raise BrokenPipeError

    context, intake = replace(context, observer=Gone()), Intake()
    settings = Settings(events=(SOURCES[kind](Address("127.0.0.1", 0)),))
    watch = StateReader(context.engine, context.guard, intake)
    sources = SourceFactory(settings, Positions(None), context.observer, context.counts, watch).sources()
    service = Service(sources, intake, context)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            service.run()
        except BrokenPipeError as error:
            ended.append(error)

    running = threading.Thread(target=run, daemon=True)
    running.start()
    until(lambda: service.ready)
    head = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(line(1))
    with socket.create_connection(("127.0.0.1", sources[0].port), timeout=240) as sender:
        sender.sendall((head if kind == "http" else b"") + line(1))
        running.join(240)
    assert len(ended) == 1


def test_periodic_tasks_run_when_due_and_on_request(context, until):
    class Task:
        due = 0
        requested = 0

        def run_if_due(self) -> None:
            self.due += 1

        def run_now(self) -> None:
            self.requested += 1

    task = Task()
    service = Service([Given("a", waits=True)], Intake(), context, tasks=[task])
    running = threading.Thread(target=service.run)
    running.start()
    until(lambda: task.due >= 2)
    service.run_tasks()
    until(lambda: task.requested == 1)
    assert service.ready
    service.stop()
    running.join(240)
    assert not service.ready
