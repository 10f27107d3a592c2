"""What stands between a plan and a kill: docs/EXECUTORS.md, section "Guards"."""

from __future__ import annotations

from spyderresp.guards.base import Alarm, StepGuard
from spyderresp.guards.breakers import Limits
from spyderresp.guards.guard import DEFAULT_KILL_SWITCH, VENDOR_COOLDOWN, Guard
from spyderresp.guards.silences import Silence
from spyderresp.protection import Protection

__all__ = [
    "DEFAULT_KILL_SWITCH",
    "VENDOR_COOLDOWN",
    "Alarm",
    "Guard",
    "Limits",
    "Protection",
    "Silence",
    "StepGuard",
]
