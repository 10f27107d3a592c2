"""``Guard``, its limits, silences, protection and clocks."""

from __future__ import annotations

from spyderresp.execution.clock import Clock
from spyderresp.execution.guards.circuit_breakers import Limits
from spyderresp.execution.guards.guard import DEFAULT_KILL_SWITCH, VENDOR_COOLDOWN, Guard
from spyderresp.execution.guards.silences import Silence
from spyderresp.execution.interfaces import Alarm, StepGuard
from spyderresp.execution.protection import Protection

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
