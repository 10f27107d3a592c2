"""The life of a service: sources and rounds in threads of their own, and what happens around them in the caller's."""

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

_TICK: Final = 0.5
DRAIN: Final = 20.0


class PeriodicTask(Protocol):
    """Something that is done now and then while the service runs, in the caller's thread: quick."""

    def look(self) -> None:
        """Do what is due."""

    def asked(self) -> None:
        """Do it now: somebody sent SIGHUP."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a service ended.

    Attributes:
        signal: the number of the signal that asked for it, or 0 where all sources came to their end.
        failures: sources that could not be read any more, each with the reason.
        undecided: about how many accepted events nothing was decided about, because draining took too long.
    """

    signal: int
    failures: tuple[str, ...]
    undecided: int = 0


_Word = Literal["stop", "look", "failed", "ended", "broken"]


class Service:
    """Reads, decides and carries out until its sources end, or it is told to stop.

    Args:
        sources: where events come from.
        intake: what they are handed in to.
        context: the engine, executors, guard, journal and observer.
        chores: what is looked after meanwhile.
        drain: for how many seconds, once told to stop, what was accepted may still take.
        monitor: answers about the service, to the very end; it keeps no service from ending.
        announced: whether to tell where events are accepted from.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        intake: Intake,
        context: ServiceContext,
        *,
        chores: Sequence[PeriodicTask] = (),
        drain: float = DRAIN,
        monitor: Source | None = None,
        announced: bool = False,
    ) -> None:
        self._sources = tuple(sources)
        self._monitor = monitor
        self._announced = announced
        self._intake = intake
        self._context = context
        self._chores = tuple(chores)
        self._drain = drain
        # Its put() may be interrupted by a signal whose handler calls put(), unlike that of a lock or a condition.
        self._words: queue.SimpleQueue[tuple[_Word, object]] = queue.SimpleQueue()
        self._failures: list[str] = []
        self._stopped: float | None = None
        self._signal = 0
        self.ready = False

    def stop(self, signal: int = 0) -> None:
        """End soon: accept nothing more, and finish what was accepted. May be called by a signal's handler."""
        if self._stopped is None:
            self._stopped, self._signal = time.monotonic(), signal
        self._words.put(("stop", None))

    def look(self) -> None:
        """Do the chores that are done when asked. May be called by a signal's handler."""
        self._words.put(("look", None))

    def run(self) -> Ending:
        """Run to the end, and say how it ended.

        Raises:
            SourceError: a source cannot be opened; nothing was read from any.
            Exception: the error that ended the loop, such as an observer or sink whose reader went away.
        """
        opened: list[Source] = []
        stop, last = Stop(), Stop()
        watching: list[threading.Thread] = []
        try:
            for source in (*self._sources, *([self._monitor] if self._monitor is not None else [])):
                source.open()
                opened.append(source)
            if self._monitor is not None:
                watching.append(self._thread(self._watch, self._monitor, last))
            if self._announced:
                self._context.observer.say("info", f"events from {', '.join(source.name for source in opened)}")
            return self._run(stop)
        finally:
            last.call()
            for thread in watching:
                thread.join(_TICK)
            for source in opened:
                source.close()
            stop.close()
            last.close()

    def _run(self, stop: Stop) -> Ending:
        rounds = self._thread(self._rounds)
        readers = [self._thread(self._read, source, stop) for source in self._sources]
        self.ready = True
        broken = self._wait(len(readers))
        self.ready = False
        stop.call()
        if broken is not None:
            # Nobody takes rounds any more: readers that wait for room would wait for ever.
            self._intake.close()
        self._join(readers)
        self._intake.close()
        self._join([rounds])
        while not self._words.empty():
            word, about = self._words.get()
            broken = about if word == "broken" and isinstance(about, BaseException) else broken
        if broken is not None:
            raise broken
        return Ending(self._signal, tuple(self._failures), self._intake.depth)

    def _wait(self, reading: int) -> BaseException | None:
        """Wait until there is nothing more to read, or a reason to end; look after the chores meanwhile."""
        due = time.monotonic() + _TICK
        while reading:
            try:
                word, about = self._words.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                due = time.monotonic() + _TICK
                for chore in self._chores:
                    chore.look()
                continue
            if word == "stop":
                return None
            if word == "broken" and isinstance(about, BaseException):
                return about
            if word == "look":
                for chore in self._chores:
                    chore.asked()
            elif word == "failed":
                self._failures.append(str(about))
                self._context.observer.say("error", str(about))
            elif word == "ended":
                reading -= 1
        return None

    def _join(self, threads: Sequence[threading.Thread]) -> None:
        """Wait for threads to end: as long as it takes, or for as long as draining may."""
        for thread in threads:
            while thread.is_alive() and (self._stopped is None or time.monotonic() < self._stopped + self._drain):
                # In slices: a signal's handler runs between them.
                thread.join(0.2)

    @staticmethod
    def _thread(work: Callable[..., None], *about: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=about, daemon=True)
        thread.start()
        return thread

    def _watch(self, monitor: Source, stop: Stop) -> None:
        try:
            monitor.run(self._intake, stop)
        except SourceError as error:
            self._context.observer.say("error", str(error))

    def _read(self, source: Source, stop: Stop) -> None:
        try:
            source.run(self._intake, stop)
        except SourceError as error:
            self._words.put(("failed", str(error)))
        except BaseException as error:  # noqa: BLE001 - raised again where the service was run
            self._words.put(("broken", error))
        finally:
            self._words.put(("ended", None))

    def _rounds(self) -> None:
        try:
            serve(self._intake, self._context)
        except BaseException as error:  # noqa: BLE001 - raised again where the service was run
            self._words.put(("broken", error))
