"""The vendor's ``event_redflag`` and ``event_opsflag`` records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spyderresp.adapters.fields import Fields, filled
from spyderresp.adapters.services import service
from spyderresp.adapters.vendor import OPSFLAG, REDFLAG, opened, process_uid, surroundings


def from_flag(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a flag. Severity, tactics and the like are the flag's, not the event's, and are dropped."""
    fields = opened(record, REDFLAG, OPSFLAG)
    container = fields.text("container", "container_id")
    return filled(
        id=fields.text("id"),
        time=fields.instant("time"),
        **surroundings(fields),
        container=filled(containerID=container),
        service=service(fields.text("cgroup"), contained=bool(container)),
        process=_process(fields),
    )


def _process(fields: Fields) -> dict[str, Any]:
    """Return the flag's process; a flag about a connection or a machine has none, whatever else it holds."""
    process = filled(
        name=fields.text("name"),
        exe=fields.text("exe"),
        euser=fields.text("euser"),
        pid=fields.integer("pid"),
        ppid=fields.integer("ppid"),
        uid=process_uid(fields),
    )
    return process if "name" in process or "uid" in process else {}
