"""Recorded files into a replay: here, or on a worker that gives back totals."""

from __future__ import annotations

import functools
import io
import pickle
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.authoring.replay import Part, Replay
from spyderresp.authoring.replay.kills import fallback_paths, target_paths
from spyderresp.cli.event_input import Reading
from spyderresp.cli.terminal import CommandError, Streams
from spyderresp.decision import ActionPlan
from spyderresp.decision.engine import Engine
from spyderresp.errors import EventError
from spyderresp.events.records import is_surely_normal, to_event


class Replaying:
    """Decides what is read, and gathers what comes of it."""

    def __init__(self, engine: Engine, form: str | None) -> None:
        self.replay = Replay()
        self._engine = engine
        self._form = form

    @property
    def events(self) -> int:
        return self.replay.events

    def wanted(self, tables: Any) -> Any:
        policies = self._engine.policies
        return tables.required_columns([policies], ("time",), target_paths(policies), fallback_paths(policies))

    def line(self, data: bytes, _name: str, _place: int) -> None:
        self.replay.add(decided(self._engine, data, self._form))

    def record(self, event: Any, _name: str, _place: int) -> None:
        self.replay.add(self._engine.evaluate(event))

    def batch(self, batch: Any, _name: str, _first: int, _tables: Any) -> None:
        self.replay.add_batch(self._engine.evaluate_batch(batch), batch)


@dataclass(frozen=True, slots=True)
class RecordingPart:
    """What one file comes to.

    Attributes:
        part: its totals.
        bad: how many events are.
        said: what is said of them on standard error.
        failed: why it cannot be read on; None where it was read to its end.
    """

    part: Part
    bad: int
    said: str
    failed: str | None


class _Kept(Streams):
    """Keeps what is said on standard error, and writes nothing."""

    def __init__(self) -> None:
        self.said = io.StringIO()
        self._out = None
        self._err = self.said
        self._prompt = False


def piece_of(engine: Engine, form: str | None, path: str, where: str) -> RecordingPart:
    """Return what a file comes to, whatever is wrong with it.

    Args:
        engine: decides.
        form: the form of its events; None: told by their shape.
        path: what messages call it.
        where: its path on any machine.
    """
    streams = _Kept()
    taker = Replaying(engine, form)
    reading = Reading(taker, form, streams)
    failed = None
    try:
        reading.read(path, where)
    except CommandError as error:
        failed = str(error)
    return RecordingPart(taker.replay.part(), reading.bad, streams.said.getvalue(), failed)


# Work that other engines hand to their workers: one file of a recording, by one engine, compiled once a process.

_COMPILING: Final = threading.Lock()


class ReplayTask:
    """The files of a recording, and what decides them. Pickles small: a worker unpacks and compiles policies once.

    Args:
        engine: decides; its policies are sent with their places, as reports tell them.
        form: the form of the events; None: told by their shape.
        files: what messages call each, and its path, under which every worker has to find it.
    """

    def __init__(self, engine: Engine, form: str | None, files: Sequence[tuple[str, str]]) -> None:
        self.files = tuple(files)
        self._form = form
        self._data = zlib.compress(pickle.dumps(engine, pickle.HIGHEST_PROTOCOL), 1)

    def piece(self, number: int) -> RecordingPart:
        """Return what a file comes to."""
        with _COMPILING:
            engine = _engine_of(self._data)
        return piece_of(engine, self._form, *self.files[number])


@functools.lru_cache(maxsize=2)
def _engine_of(data: bytes) -> Engine:
    """Return the engine. A function of its argument, remembered: docs/decisions/0050."""
    engine: Engine = pickle.loads(zlib.decompress(data))  # noqa: S301 - part of a pickle that was being loaded anyway
    return engine


def decided(engine: Engine, data: bytes, form: str | None) -> ActionPlan:
    """Return the plan of a JSON record, only what is looked at decoded where that will do.

    Raises:
        EventError: as of ``to_event``, and of ``Engine.evaluate``.
    """
    if is_surely_normal(data, form):
        try:
            return engine.evaluate_json(data)
        except EventError:
            pass  # the other way says what is wrong
    return engine.evaluate(to_event(data, form))
