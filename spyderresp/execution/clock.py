"""The clocks of guards and journals. Tests pass clocks of their own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass


def boot_id() -> str:
    """Return the kernel's random id of this boot; empty if it cannot be read."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return ""


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Clock:
    """Three clocks, as functions.

    Attributes:
        wall: returns epoch seconds. The wall clock may jump, so it is compared only with times of events.
        steady: returns seconds since boot, with the time of suspend. It never goes back and all processes share it.
        boot: returns the id of this boot. Values of ``steady`` from different boots cannot be compared.

    ::

        guard = Guard(clock=Clock(wall=lambda: 1_700_000_000.0))
    """

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = _since_boot
    boot: Callable[[], str] = boot_id
