"""Other shapes for flag records, on request: CloudEvents 1.0 and OCSF Detection Finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from spyderresp.records.cloudevents import cloudevent
from spyderresp.records.ocsf import detection_finding

Envelope = Literal["cloudevents", "ocsf"]

ENVELOPES: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "cloudevents": cloudevent,
    "ocsf": detection_finding,
}


def enveloped(envelope: str | None) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """Return what puts a flag record into an envelope; with None, what leaves it as it is.

    Raises:
        ValueError: there is no such envelope.
    """
    if envelope is None:
        return _plain
    if envelope not in ENVELOPES:
        known = " or ".join(f"`{name}`" for name in ENVELOPES)
        raise ValueError(f"no envelope `{envelope}`; use {known}, or none")
    return ENVELOPES[envelope]


def _plain(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return record
