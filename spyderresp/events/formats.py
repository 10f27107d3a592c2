"""Other shapes of record, turned into the normal form of an event.

``adapt`` recognises a record by its shape, or takes the form's name; ``BUILT_IN.extended`` adds one's own
(docs/ADAPTERS.md). Nothing here is registered or changed after import: a collection of adapters is a value.
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

_SHOWN_OF_A_KIND = 80


@dataclass(frozen=True, slots=True)
class Adapter:
    """One shape of record, and how to turn it into the normal form of an event.

    Attributes:
        name: the name of the form, such as ``falco``.
        description: one line about it, for people.
        recognises: returns whether a record has the shape of this form. Never raises.
        convert: returns the event of a record; raises ``EventError`` with the path in the record that is wrong.
            Leaves the record as it is, and shares no mutable object with it. May be called by name on a record that
            ``recognises`` would not take.
    """

    name: str
    description: str
    recognises: Callable[[Mapping[str, Any]], bool]
    convert: Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Adapters:
    """An immutable collection of adapters, asked in order: the first that recognises a record converts it.

    Attributes:
        items: the adapters. No two may have one name (``ValueError``).
    """

    items: tuple[Adapter, ...] = ()

    def __post_init__(self) -> None:
        taken: set[str] = set()
        for adapter in self.items:
            if adapter.name in taken:
                raise ValueError(f"there is a form `{adapter.name}` already")
            taken.add(adapter.name)

    def __iter__(self) -> Iterator[Adapter]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the forms, in the order in which they are tried."""
        return tuple(adapter.name for adapter in self.items)

    def extended(self, adapter: Adapter) -> Adapters:
        """Return a collection with one more adapter, tried before the others.

        Raises:
            ValueError: a form of that name is here already.
        """
        return Adapters((adapter, *self.items))

    def named(self, form: str) -> Adapter:
        """Return the adapter of a form.

        Raises:
            ValueError: no such form; the message suggests the nearest name.
        """
        for adapter in self.items:
            if adapter.name == form:
                return adapter
        near = difflib.get_close_matches(str(form), self.names, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "the forms are " + ", ".join(f"`{n}`" for n in self.names)
        raise ValueError(f"`{form}` is not a form of event; {hint}")

    def recognise(self, record: Mapping[str, Any]) -> Adapter:
        """Return the adapter for a record, by its shape.

        Raises:
            EventError: no adapter takes it. A vendor record is named by its kind, under the path ``schema``.
        """
        _check(record)
        for adapter in self.items:
            if adapter.recognises(record):
                return adapter
        schema = record.get("schema")
        if isinstance(schema, str):
            kind = schema.partition(":")[0]
            shown = kind if len(kind) <= _SHOWN_OF_A_KIND else f"{kind[:_SHOWN_OF_A_KIND]}..."
            raise EventError("schema", f"records of kind `{shown}` hold no deviation")
        raise EventError("", "the record has no form that is known")

    def adapt(self, record: Mapping[str, Any], form: str | None = None) -> dict[str, Any]:
        """Return the event of a record, in the normal form.

        Args:
            record: left as it is; the event shares no mutable object with it.
            form: the name of the form, or None to recognise it by its shape.

        Raises:
            EventError: the record holds no event, or something in it is wrong; names the path in the record.
            ValueError: no such form.
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
        record: a record of any form that the adapters know; left as it is. A record in the normal form comes back as
            a copy, not checked: the engine does that.
        form: the name of the form, or None to recognise it by its shape.
        adapters: the adapters to choose from.

    Raises:
        EventError: the record holds no event, or something in it is wrong; names the path in the record.
        ValueError: no such form; suggests the nearest.
    """
    return adapters.adapt(record, form)
