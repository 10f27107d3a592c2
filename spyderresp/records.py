"""What leaves: the allow-list of event fields, and the flag records that sinks deliver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spyderresp.steps import Step


def allowed(event: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the fields of an event that may leave; None where there is no event."""
    if event is None:
        return None
    return {}


def flag_record(step: Step) -> dict[str, Any]:
    """Return the record of a flag."""
    return {"id": f"flag:{step.key}", "schema": step.action, "time": step.event_time or step.arrived, **step.parameters}
