"""Converts records of other forms into events in the normal form.

``adapt`` recognises the form of a record by its keys, or takes the name of the form. ``BUILT_IN.extended`` returns a
collection with an adapter of your own (docs/ADAPTERS.md). Collections of adapters are immutable.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from spyderresp.errors import EventError
from spyderresp.events import falco, normal, spyderbat, tetragon
from spyderresp.events.field_readers import json_kind

# The most characters of a vendor's kind of record in a message.
_MAX_KIND = 80


@dataclass(frozen=True, slots=True)
class Adapter:
    """A form of records, and how to convert them into events in the normal form.

    Attributes:
        name: the name of the form, such as ``falco``.
        description: one line about the form, for people.
        recognises: returns whether a record has this form. It never raises.
        convert: returns the event of a record, or raises ``EventError`` with the path of what is wrong. It does not
            change the record, and the event shares no mutable object with it. It may be called with any record, because
            users can choose a form by name.
    """

    name: str
    description: str
    recognises: Callable[[Mapping[str, Any]], bool]
    convert: Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Adapters:
    """An immutable collection of adapters. The first one that recognises a record converts it.

    Attributes:
        items: the adapters, in order.

    Raises:
        ValueError: two adapters have the same name.
    """

    items: tuple[Adapter, ...] = ()

    def __post_init__(self) -> None:
        names: set[str] = set()
        for adapter in self.items:
            if adapter.name in names:
                raise ValueError(f"there is a form `{adapter.name}` already")
            names.add(adapter.name)

    def __iter__(self) -> Iterator[Adapter]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the forms, in the order in which they are tried."""
        return tuple(adapter.name for adapter in self.items)

    def extended(self, adapter: Adapter) -> Adapters:
        """Return a collection with one more adapter, which is tried first.

        Raises:
            ValueError: the collection has a form of that name already.
        """
        return Adapters((adapter, *self.items))

    def named(self, form: str) -> Adapter:
        """Return the adapter of a form.

        Raises:
            ValueError: there is no such form; the message suggests the nearest name.
        """
        for adapter in self.items:
            if adapter.name == form:
                return adapter
        near = difflib.get_close_matches(str(form), self.names, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "the forms are " + ", ".join(f"`{n}`" for n in self.names)
        raise ValueError(f"`{form}` is not a form of event; {hint}")

    def recognise(self, record: Mapping[str, Any]) -> Adapter:
        """Return the adapter that recognises a record.

        Raises:
            EventError: no adapter does. For a record of the vendor, the message names its kind.
        """
        _check(record)
        for adapter in self.items:
            if adapter.recognises(record):
                return adapter
        schema = record.get("schema")
        if isinstance(schema, str):
            kind = schema.partition(":")[0]
            shown = kind if len(kind) <= _MAX_KIND else f"{kind[:_MAX_KIND]}..."
            raise EventError("schema", f"records of kind `{shown}` hold no deviation")
        raise EventError("", "the record has no known form")

    def adapt(self, record: Mapping[str, Any], form: str | None = None) -> dict[str, Any]:
        """Return the event of a record, in the normal form.

        Args:
            record: the record; it is not changed, and the event shares no mutable object with it.
            form: the name of the form; None: it is recognised.

        Raises:
            EventError: the record contains no event, or a wrong value; the error has the path in the record.
            ValueError: there is no such form.
        """
        adapter = self.recognise(record) if form is None else self.named(form)
        _check(record)
        return adapter.convert(record)


def _check(record: object) -> None:
    if not isinstance(record, Mapping):
        raise EventError("", f"the record must be a mapping, not {json_kind(record)}")


__all__ = ["BUILT_IN", "Adapter", "Adapters", "adapt"]

#: The built-in forms, in the order in which they are tried.
BUILT_IN: Final = Adapters(
    (
        Adapter(
            "event-deviation",
            "the vendor's event_deviation record",
            partial(spyderbat.is_of, spyderbat.DEVIATION),
            spyderbat.from_event,
        ),
        Adapter(
            "guardian-deviation",
            "the vendor's GuardianDeviation document",
            spyderbat.is_guardian,
            spyderbat.from_guardian,
        ),
        Adapter(
            "model-process",
            "the vendor's model_process record",
            partial(spyderbat.is_of, spyderbat.PROCESS),
            spyderbat.from_process,
        ),
        Adapter(
            "model-container",
            "the vendor's model_container record",
            partial(spyderbat.is_of, spyderbat.CONTAINER),
            spyderbat.from_container,
        ),
        Adapter(
            "event-redflag",
            "the vendor's event_redflag record",
            partial(spyderbat.is_of, spyderbat.REDFLAG),
            spyderbat.from_flag,
        ),
        Adapter(
            "event-opsflag",
            "the vendor's event_opsflag record",
            partial(spyderbat.is_of, spyderbat.OPSFLAG),
            spyderbat.from_flag,
        ),
        Adapter("falco", "an alert in Falco's JSON output", falco.is_alert, falco.from_alert),
        Adapter("tetragon", "an event in Tetragon's JSON export", tetragon.is_event, tetragon.from_event),
        Adapter("normal", "an event in the normal form", normal.is_normal, normal.copied),
    )
)


def adapt(record: Mapping[str, Any], form: str | None = None, adapters: Adapters = BUILT_IN) -> dict[str, Any]:
    """Return the event of a record, in the normal form.

    Args:
        record: a record in any form of the adapters; it is not changed. A record in the normal form is copied and not
            checked, because the engine checks events.
        form: the name of the form; None: it is recognised.
        adapters: the adapters to choose from.

    Raises:
        EventError: the record contains no event, or a wrong value; the error has the path in the record.
        ValueError: there is no such form; the message suggests the nearest name.

    An example::

        event = spyderresp.adapt({"output_fields": {"proc.name": "nc", "proc.pid": 7}})
        event["process"]  # {"name": "nc", "pid": 7}
    """
    return adapters.adapt(record, form)
