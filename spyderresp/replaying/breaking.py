"""When breakers would have opened: the guard's own breakers, at the events' own times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from spyderresp.clock import Clock
from spyderresp.guards.breakers import Breakers, Limits


class Attempt(NamedTuple):
    """A kill that would have been tried.

    Attributes:
        time: epoch seconds of its event.
        action: its name.
        policies: those that asked for it.
        target: what tells its target from others; empty where nothing does.
        namespace: of the target; None without one.
    """

    time: float
    action: str
    policies: tuple[str, ...]
    target: str
    namespace: str | None


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


def breakers(attempts: Iterable[Attempt], limits: Limits) -> Broken:
    """Return what breakers would have done, were every event decided at its own time.

    Args:
        attempts: in any order.
        limits: those of the guard.
    """
    now = 0.0
    held = Breakers(limits, Clock(wall=lambda: now, steady=lambda: now, boot=lambda: "replay"))
    refused = allowed = 0
    openings: list[Opening] = []
    latest: dict[str, int] = {}
    counts: list[int] = []
    for attempt in sorted(attempts, key=lambda item: item.time):
        now = attempt.time
        shut = held.admit(attempt, attempt.target, attempt.namespace)
        allowed += not shut
        refused += bool(shut)
        for item in shut:
            if item.new:
                latest[item.name] = len(openings)
                openings.append(Opening(now, item.name, item.limit, 0))
                counts.append(0)
            counts[latest[item.name]] += 1
    found = (replace(opening, refused=count) for opening, count in zip(openings, counts, strict=True))
    return Broken(tuple(found), refused, allowed)
