"""Runs a service: each source and the loop in a thread of its own, periodic tasks in the thread of the caller."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from spyderresp.service.intake import Intake
from spyderresp.service.loop import ServiceContext, serve
from spyderresp.service.sources.base import Source, SourceError, Stop

# Seconds between two runs of the periodic tasks.
_TICK: Final = 0.5
#: Seconds that accepted events may take after the service was asked to stop.
DRAIN: Final = 20.0


class PeriodicTask(Protocol):
    """A short task that runs every half second in the thread of the caller, while the service runs."""

    def run_if_due(self) -> None:
        """Do the work that is due."""

    def run_now(self) -> None:
        """Do the work now: the process received SIGHUP."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a service ended.

    Attributes:
        signal: the number of the signal that stopped it; 0: all sources ended.
        failures: the errors of sources that could not be read any more.
        undecided: about how many accepted events were not decided, because draining took too long.
    """

    signal: int
    failures: tuple[str, ...]
    undecided: int = 0


_MessageKind = Literal["stop", "tasks", "failed", "ended", "broken"]


class Service:
    """Reads, decides and carries out until its sources end or ``stop`` is called.

    Args:
        sources: the sources of events.
        intake: the queue between the sources and the loop.
        context: the engine, executors, guard, journal and observer.
        tasks: the periodic tasks.
        drain: seconds that accepted events may take after ``stop``.
        monitor: serves health and metrics until the end. The service does not wait for it.
        log_sources: whether to log the names of the sources.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        intake: Intake,
        context: ServiceContext,
        *,
        tasks: Sequence[PeriodicTask] = (),
        drain: float = DRAIN,
        monitor: Source | None = None,
        log_sources: bool = False,
    ) -> None:
        self._sources = tuple(sources)
        self._monitor = monitor
        self._log_sources = log_sources
        self._intake = intake
        self._context = context
        self._tasks = tuple(tasks)
        self._drain = drain
        # SimpleQueue.put is reentrant: a signal handler may call it while this thread is in it.
        self._messages: queue.SimpleQueue[tuple[_MessageKind, object]] = queue.SimpleQueue()
        self._failures: list[str] = []
        self._stopped: float | None = None
        self._signal = 0
        self.ready = False

    def stop(self, signal: int = 0) -> None:
        """Accept nothing more, finish accepted events, and end. A signal handler may call this."""
        if self._stopped is None:
            self._stopped, self._signal = time.monotonic(), signal
        self._messages.put(("stop", None))

    def run_tasks(self) -> None:
        """Run the periodic tasks now. A signal handler may call this."""
        self._messages.put(("tasks", None))

    def run(self) -> Ending:
        """Run until the end; return how the service ended.

        Raises:
            SourceError: a source cannot be opened; no source was read.
            Exception: the error that ended the loop, such as a broken pipe of the observer.
        """
        opened: list[Source] = []
        stop, last = Stop(), Stop()
        monitoring: list[threading.Thread] = []
        try:
            for source in (*self._sources, *([self._monitor] if self._monitor is not None else [])):
                source.open()
                opened.append(source)
            if self._monitor is not None:
                monitoring.append(self._thread(self._run_monitor, self._monitor, last))
            if self._log_sources:
                self._context.observer.say("info", f"events from {', '.join(source.name for source in opened)}")
            if (reason := self._context.guard.halted()) is not None:
                self._context.observer.say("warning", f"no agent action is taken: {reason}")
            return self._run(stop)
        finally:
            last.call()
            for thread in monitoring:
                thread.join(_TICK)
            for source in opened:
                source.close()
            stop.close()
            last.close()

    def _run(self, stop: Stop) -> Ending:
        loop = self._thread(self._loop)
        readers = [self._thread(self._read, source, stop) for source in self._sources]
        self.ready = True
        broken = self._wait(len(readers))
        self.ready = False
        stop.call()
        if broken is not None:
            # The loop has ended. Close the intake, or sources that wait for room would wait forever.
            self._intake.close()
        self._join(readers)
        self._intake.close()
        self._join([loop])
        while not self._messages.empty():
            kind, value = self._messages.get()
            broken = value if kind == "broken" and isinstance(value, BaseException) else broken
        if broken is not None:
            raise broken
        return Ending(self._signal, tuple(self._failures), self._intake.depth)

    def _wait(self, reading: int) -> BaseException | None:
        """Run the periodic tasks until all sources end, ``stop`` is called, or a thread breaks; return its error."""
        due = time.monotonic() + _TICK
        while reading:
            try:
                kind, value = self._messages.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                due = time.monotonic() + _TICK
                for task in self._tasks:
                    task.run_if_due()
                continue
            if kind == "stop":
                return None
            if kind == "broken" and isinstance(value, BaseException):
                return value
            if kind == "tasks":
                for task in self._tasks:
                    task.run_now()
            elif kind == "failed":
                self._failures.append(str(value))
                self._context.observer.say("error", str(value))
            elif kind == "ended":
                reading -= 1
        return None

    def _join(self, threads: Sequence[threading.Thread]) -> None:
        """Wait for threads to end; after ``stop`` only until the time for draining is over."""
        for thread in threads:
            while thread.is_alive() and (self._stopped is None or time.monotonic() < self._stopped + self._drain):
                # Wait in slices, so that signal handlers can run.
                thread.join(0.2)

    @staticmethod
    def _thread(work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread

    def _run_monitor(self, monitor: Source, stop: Stop) -> None:
        try:
            monitor.run(self._intake, stop)
        except SourceError as error:
            self._context.observer.say("error", str(error))

    def _read(self, source: Source, stop: Stop) -> None:
        try:
            source.run(self._intake, stop)
        except SourceError as error:
            self._messages.put(("failed", str(error)))
        except BaseException as error:  # noqa: BLE001 - run() raises it again
            self._messages.put(("broken", error))
        finally:
            self._messages.put(("ended", None))

    def _loop(self) -> None:
        try:
            serve(self._intake, self._context)
        except BaseException as error:  # noqa: BLE001 - run() raises it again
            self._messages.put(("broken", error))
