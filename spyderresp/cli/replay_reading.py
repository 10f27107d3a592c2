"""Recorded files into a replay: here, or on a worker that gives back totals."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from spyderresp.cli.output import CannotGoOnError, Streams
from spyderresp.cli.recorded_events import Reading
from spyderresp.engine import Engine
from spyderresp.recorded.lines import decided
from spyderresp.replaying.identity import instead, whom
from spyderresp.replaying.replay import Part, Replay


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
        return tables.wanted([policies], ("time",), whom(policies), instead(policies))

    def line(self, data: bytes, _name: str, _place: int) -> None:
        self.replay.add(decided(self._engine, data, self._form))

    def record(self, event: Any, _name: str, _place: int) -> None:
        self.replay.add(self._engine.evaluate(event))

    def batch(self, batch: Any, _name: str, _first: int, _tables: Any) -> None:
        self.replay.add_batch(self._engine.evaluate_batch(batch), batch)


@dataclass(frozen=True, slots=True)
class Piece:
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


def piece_of(engine: Engine, form: str | None, path: str, where: str) -> Piece:
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
    except CannotGoOnError as error:
        failed = str(error)
    return Piece(taker.replay.part(), reading.bad, streams.said.getvalue(), failed)
