"""A clock that tests turn."""

from __future__ import annotations

from spyderresp.execution.clock import Clock


class Turned:
    """Shows whatever it was set to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.wall = now
        self.steady = 5_000.0
        self.boot = "boot"

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.steady, lambda: self.boot)

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds
