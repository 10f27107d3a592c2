"""What a row of the report is: a function that yields figures, each with what it must and what it should be."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Sense = Literal["at most", "at least"]


@dataclass(frozen=True)
class Settings:
    """How thorough a run is.

    Attributes:
        quick: fewer rounds and events; what that changes is said in the figure's note.
        sizes: of the policy sets, ascending.
    """

    quick: bool
    sizes: tuple[int, ...]

    @property
    def rounds(self) -> int:
        return 7 if self.quick else 25

    @property
    def count(self) -> int:
        """Return how many events a round has."""
        return 2_000

    @property
    def warm(self) -> int:
        """Return how many events of a stream go before what is measured, after one of each of its contexts."""
        return 5_000 if self.quick else 40_000


@dataclass(frozen=True)
class Figure:
    """One measured figure, or why there is none.

    Attributes:
        label: what it is.
        value: None where it could not be measured; ``note`` says why.
        unit: ``x`` is a ratio.
        must: and ``aim``: bounds, None where there is none.
        sense: on which side of the bounds it is to be.
        note: what a reader needs to know beside the number.
        detail: absolute figures behind it, by name.
        points: of the charts: stream, contestant, policies, nanoseconds an event.
    """

    label: str
    value: float | None
    unit: str = "x"
    must: float | None = None
    aim: float | None = None
    sense: Sense = "at most"
    note: str = ""
    detail: dict[str, float] = field(default_factory=dict)
    points: list[tuple[str, str, int, float]] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """Return ``aim``, ``must``, ``missed``, ``stated`` where there is no bound, or ``not run``."""
        if self.value is None:
            return "not run"
        if self.must is None and self.aim is None:
            return "stated"
        if self.aim is not None and self._within(self.aim):
            return "aim"
        if self.must is not None:
            return "must" if self._within(self.must) else "missed"
        return "missed"

    def _within(self, bound: float) -> bool:
        assert self.value is not None
        # As it is printed: 1.001 is 1.00.
        shown = round(self.value, 2)
        return shown <= bound if self.sense == "at most" else shown >= bound

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


@dataclass(frozen=True)
class Row:
    """One row: its key on the command line, its title, and what measures it."""

    key: str
    title: str
    measure: Callable[[Settings], Iterator[Figure]]


def points(stream: str, size: int, costs: dict[str, list[float]]) -> list[tuple[str, str, int, float]]:
    """Return the points that a measurement gives the charts."""
    return [(stream, name, size, statistics.median(cost)) for name, cost in costs.items()]


def medians(costs: dict[str, list[float]]) -> dict[str, float]:
    """Return the absolute costs behind a ratio."""
    return {f"{name}, ns": statistics.median(cost) for name, cost in costs.items()}


def not_run(label: str, why: str) -> Figure:
    """Return the figure of what could not be measured."""
    return Figure(label, None, note=why)


def bounds(table: dict[int, tuple[float | None, float | None]], size: int) -> dict[str, float | None]:
    """Return ``must`` and ``aim`` for a size, none where the table has none."""
    must, aim = table.get(size, (None, None))
    return {"must": must, "aim": aim}
