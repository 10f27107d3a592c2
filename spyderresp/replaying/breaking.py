"""When breakers would have opened: the guard's own breakers, at the events' own times."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from spyderresp._native.breaking import step_breakers
from spyderresp._native.kills import Kills
from spyderresp.guards.breakers import Limits


@dataclass(frozen=True, slots=True)
class Opening:
    """A breaker that would have opened.

    Attributes:
        time: epoch seconds.
        name: such as ``overall`` or ``namespace shop``.
        limit: how many targets it allows.
        refused: how many kills it refused until it closed again, the first among them.
    """

    time: float
    name: str
    limit: int
    refused: int


@dataclass(frozen=True, slots=True)
class Broken:
    """What breakers would have done.

    Attributes:
        openings: in order of time.
        refused: kills refused by any of them.
        allowed: kills that none stood in the way of.
    """

    openings: tuple[Opening, ...]
    refused: int
    allowed: int


def breakers(kills: Kills, limits: Limits) -> Broken:
    """Return what breakers would have done, were every event decided at its own time.

    Args:
        kills: in any order.
        limits: those of the guard; it starts with the first kill.
    """
    openings, refused, allowed = step_breakers(kills, astuple(limits))
    return Broken(tuple(Opening(*opening) for opening in openings), refused, allowed)
