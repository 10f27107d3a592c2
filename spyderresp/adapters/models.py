"""The vendor's ``model_process`` and ``model_container`` records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spyderresp.adapters.fields import filled
from spyderresp.adapters.services import service
from spyderresp.adapters.vendor import CONTAINER, PROCESS, opened, surroundings


def from_process(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a ``model_process`` record.

    The record's ``id`` (``proc:...``) is the vendor's uid of the process, and names the event too.
    """
    fields = opened(record, PROCESS)
    container = fields.text("container", "container_id")
    return filled(
        id=fields.text("id"),
        time=fields.instant("time"),
        **surroundings(fields),
        container=filled(containerID=container),
        service=service(fields.text("cgroup"), contained=bool(container)),
        process=filled(
            name=fields.text("name"),
            exe=fields.text("exe"),
            euser=fields.text("euser"),
            pid=fields.integer("pid"),
            ppid=fields.integer("ppid"),
            uid=fields.text("id"),
            start_time=fields.instant("create_time"),
        ),
    )


def from_container(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a ``model_container`` record. It has no process."""
    fields = opened(record, CONTAINER)
    return filled(
        id=fields.text("id"),
        time=fields.instant("time"),
        **surroundings(fields),
        container=filled(
            image=fields.text("image"),
            imageID=fields.text("image_id"),
            containerName=fields.text("container_name"),
            containerID=fields.text("container_id"),
        ),
    )
