"""What a running service counts. Metrics, health and the last word read it; docs/RUN.md names every figure."""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

#: The upper bounds of the latency histogram, in seconds.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass
class Counts:
    """Figures since the start. Every change is made under ``lock``.

    Attributes:
        accepted: events that a source handed in, by source.
        decided: events that have a plan.
        bad: events that could not be decided, by source.
        turned_away: requests and connections that were refused, by reason.
        dead_letters: messages of brokers that could not be decided and were put aside, by source.
        steps: what became of steps, by action and outcome.
        reloads: loads of policies after the first, by result: ``ok``, ``failed``, ``unchanged``.
        latency: how many deliveries were answered within each of ``BUCKETS``, and beyond the last.
        seconds: the sum of those times.
    """

    accepted: Counter[str] = field(default_factory=Counter)
    decided: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    turned_away: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    reloads: Counter[str] = field(default_factory=Counter)
    latency: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, source: str, good: int, bad: int) -> None:
        """Count what became of a delivery's events."""
        with self.lock:
            self.accepted[source] += good + bad
            self.decided += good
            if bad:
                self.bad[source] += bad

    def took(self, steps: Iterable[tuple[str, str]]) -> None:
        """Count steps, each as its action and outcome."""
        with self.lock:
            self.steps.update(steps)

    def waited(self, seconds: float) -> None:
        """Count how long a delivery took, from its arrival to its answer."""
        with self.lock:
            self.latency[bisect.bisect_left(BUCKETS, seconds)] += 1
            self.seconds += seconds

    def turn_away(self, reason: str) -> None:
        """Count a request or a connection that was refused."""
        with self.lock:
            self.turned_away[reason] += 1

    def bury(self, source: str) -> None:
        """Count a dead letter that has arrived."""
        with self.lock:
            self.dead_letters[source] += 1

    def reloaded(self, result: str) -> None:
        """Count a load of policies."""
        with self.lock:
            self.reloads[result] += 1
