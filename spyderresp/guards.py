"""``Guard``, its limits, silences and protection. Re-exports ``spyderresp.execution.guards``."""

from __future__ import annotations

from spyderresp.execution.guards import (
    DEFAULT_KILL_SWITCH,
    VENDOR_COOLDOWN,
    Alarm,
    Clock,
    Guard,
    Limits,
    Protection,
    Silence,
    StepGuard,
)

__all__ = [
    "DEFAULT_KILL_SWITCH",
    "VENDOR_COOLDOWN",
    "Alarm",
    "Clock",
    "Guard",
    "Limits",
    "Protection",
    "Silence",
    "StepGuard",
]
