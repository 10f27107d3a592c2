"""Other shapes of record, turned into the normal form of an event.

``adapt`` recognises a record by its shape, or takes the form's name; ``BUILT_IN.extended`` adds one's own
(docs/ADAPTERS.md). Nothing here is registered or changed after import: a collection of adapters is a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from spyderresp.adapters import deviations, falco, flags, models, normal, tetragon, vendor
from spyderresp.adapters.collection import Adapter, Adapters

__all__ = ["BUILT_IN", "Adapter", "Adapters", "adapt"]

#: The forms that this package knows, in the order in which they are tried.
BUILT_IN: Final = Adapters(
    (
        Adapter(
            "event-deviation",
            "the vendor's event_deviation record",
            partial(vendor.is_of, vendor.DEVIATION),
            deviations.from_event,
        ),
        Adapter(
            "guardian-deviation",
            "the vendor's GuardianDeviation document",
            deviations.is_guardian,
            deviations.from_guardian,
        ),
        Adapter(
            "model-process",
            "the vendor's model_process record",
            partial(vendor.is_of, vendor.PROCESS),
            models.from_process,
        ),
        Adapter(
            "model-container",
            "the vendor's model_container record",
            partial(vendor.is_of, vendor.CONTAINER),
            models.from_container,
        ),
        Adapter(
            "event-redflag",
            "the vendor's event_redflag record",
            partial(vendor.is_of, vendor.REDFLAG),
            flags.from_flag,
        ),
        Adapter(
            "event-opsflag",
            "the vendor's event_opsflag record",
            partial(vendor.is_of, vendor.OPSFLAG),
            flags.from_flag,
        ),
        Adapter("falco", "an alert in Falco's JSON output", falco.is_alert, falco.from_alert),
        Adapter("tetragon", "an event in Tetragon's JSON export", tetragon.is_event, tetragon.from_event),
        Adapter("normal", "an event in the normal form", normal.is_normal, normal.copied),
    )
)


def adapt(record: Mapping[str, Any], form: str | None = None, adapters: Adapters = BUILT_IN) -> dict[str, Any]:
    """Return the event of a record, in the normal form.

    Args:
        record: a record of any form that the adapters know; left as it is. A record in the normal form comes back as
            a copy, not checked: the engine does that.
        form: the name of the form, or None to recognise it by its shape.
        adapters: the adapters to choose from.

    Raises:
        EventError: the record holds no event, or something in it is wrong; names the path in the record.
        ValueError: no such form; suggests the nearest.
    """
    return adapters.adapt(record, form)
