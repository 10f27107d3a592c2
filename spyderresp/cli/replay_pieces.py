"""Replays recorded files, in this process or on workers that return totals."""

from __future__ import annotations

import functools
import io
import pickle
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.authoring.replay.kills import fallback_paths, target_paths
from spyderresp.authoring.replay.totals import Part, Replay, report_of
from spyderresp.cli.event_input import EventReader
from spyderresp.cli.terminal import CommandError, Streams
from spyderresp.decision import ActionPlan
from spyderresp.decision.engine import Engine
from spyderresp.errors import EventError
from spyderresp.events.records import is_surely_normal, to_event

__all__ = ["RecordingPart", "Replay", "ReplayTask", "Replaying", "piece_of", "report_of"]


class Replaying:
    """Decides the events that are read and totals the plans."""

    def __init__(self, engine: Engine, form: str | None) -> None:
        self.replay = Replay()
        self._engine = engine
        self._form = form

    @property
    def events(self) -> int:
        return self.replay.events

    def required_columns(self, tables: Any) -> Any:
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
    """The result of replaying one file.

    Attributes:
        part: the totals of the file.
        bad: the number of bad events.
        messages: the messages about bad events, for standard error.
        failed: why reading stopped early; None if the file was read to its end.
    """

    part: Part
    bad: int
    messages: str
    failed: str | None


class _CapturedStreams(Streams):
    """Collects the messages for standard error and writes nothing."""

    def __init__(self) -> None:
        self.messages = io.StringIO()
        self._out = None
        self._err = self.messages
        self._prompt = False


def piece_of(engine: Engine, form: str | None, path: str, where: str) -> RecordingPart:
    """Replay a file; errors are part of the result.

    Args:
        engine: decides the events.
        form: the form of the events; None: recognised for each event.
        path: the file's name in messages.
        where: the file's path, valid on every machine.
    """
    streams = _CapturedStreams()
    consumer = Replaying(engine, form)
    reader = EventReader(consumer, form, streams)
    failed = None
    try:
        reader.read(path, where)
    except CommandError as error:
        failed = str(error)
    return RecordingPart(consumer.replay.part(), reader.bad, streams.messages.getvalue(), failed)


# The work for other engines: one file for each task; each worker process compiles the policies once.

_COMPILING: Final = threading.Lock()


class ReplayTask:
    """The files of a recording and the engine that decides them. Its pickle is small: the policies are compressed.

    Args:
        engine: decides the events; its policies are sent with their locations, which reports show.
        form: the form of the events; None: recognised for each event.
        files: for each file its name in messages and its path, which must be valid on every worker.
    """

    def __init__(self, engine: Engine, form: str | None, files: Sequence[tuple[str, str]]) -> None:
        self.files = tuple(files)
        self._form = form
        self._data = zlib.compress(pickle.dumps(engine, pickle.HIGHEST_PROTOCOL), 1)

    def piece(self, number: int) -> RecordingPart:
        """Replay the file with this number and return the result."""
        with _COMPILING:
            engine = _engine_of(self._data)
        return piece_of(engine, self._form, *self.files[number])


@functools.lru_cache(maxsize=2)
def _engine_of(data: bytes) -> Engine:
    """Return the unpickled engine. Cached; the result depends only on the argument (docs/decisions/0050)."""
    engine: Engine = pickle.loads(zlib.decompress(data))  # noqa: S301 - part of a pickle that was being loaded anyway
    return engine


def decided(engine: Engine, data: bytes, form: str | None) -> ActionPlan:
    """Return the plan of a JSON record. A record in the normal form is not decoded as a whole.

    Raises:
        EventError: as in ``to_event`` and ``Engine.evaluate``.
    """
    if is_surely_normal(data, form):
        try:
            return engine.evaluate_json(data)
        except EventError:
            pass  # decode it as a whole below, for the full error message
    return engine.evaluate(to_event(data, form))
