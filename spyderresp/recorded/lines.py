"""Numbered lines of a file of JSON lines, and what an engine says of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final

from spyderresp._native.marks import is_marked
from spyderresp.decision._plan import ActionPlan
from spyderresp.engine import Engine
from spyderresp.errors import EventError
from spyderresp.service.lines import MAX_LINE, to_event, too_long

_NORMAL: Final = "normal"


def numbered_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | EventError]]:
    """Yield line numbers from 1 and lines that are not blank; a line beyond the limit is an EventError in its place."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield number, too_long(MAX_LINE)
        elif line.strip():
            yield number, line


def is_surely_normal(data: bytes, form: str | None) -> bool:
    """Tell whether a JSON record is in the normal form, by its bytes alone; where they do not tell, it is not sure."""
    if form is not None:
        return form == _NORMAL
    return not is_marked(data)


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
