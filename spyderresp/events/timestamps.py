"""Writes times in other formats."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any


def rfc3339(seconds: Any) -> str | None:
    """Return epoch seconds as an RFC 3339 text in UTC with microseconds; None if the year is out of range."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return None
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def milliseconds(seconds: Any) -> int:
    """Return epoch seconds as whole milliseconds; 0 if the value is not a number in range."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return 0
    try:
        return int(seconds * 1000)
    except (OverflowError, ValueError):
        return 0
