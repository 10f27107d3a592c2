"""The time, as one value that is handed in: tests and breakers turn their own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass


def boot_id() -> str:
    """Return the kernel's random id of this boot, or an empty text where the kernel tells none."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return ""


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from.

    Attributes:
        wall: epoch seconds. May jump: what an event's time is compared with, and nothing else.
        steady: seconds since this boot, sleep included; never goes back, and is the same for all processes of a boot.
        boot: names the boot; ``steady`` of another boot says nothing.
    """

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = _since_boot
    boot: Callable[[], str] = boot_id
