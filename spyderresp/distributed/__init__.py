"""A decision that travels: Arrow batch in, Arrow batch out, for engines that hand rows to workers. Extra ``arrow``.

Nothing is executed here, nor could it be: what a worker returns are rows. Columns in are those of
``Engine.evaluate_batch``; columns out are ``ACTIONS`` or ``PLANS``, after columns of the event that are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from spyderresp.decision.batch_result import BatchResult
from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.distributed.serialised_engine import Shipped, engine_of
from spyderresp.errors import EventError
from spyderresp.policies.policy_set import PolicySet
from spyderresp.policies.vocabulary import LABEL_SCOPES, SCOPES

_TEXT: Final = pa.string()
#: The columns of an action: those of ``BatchResult.table`` without ``row``, texts plain; ``place`` is its place in the
#: plan, from 0: rows of a distributed table have no order.
_ACTION: Final = (
    pa.field("place", pa.int32()),
    pa.field("action", _TEXT),
    pa.field(
        "parameters",
        pa.struct(
            [
                pa.field("severity", _TEXT),
                pa.field("impact", _TEXT),
                pa.field("content", _TEXT),
                pa.field("description", _TEXT),
                pa.field("priority", pa.int32()),
            ]
        ),
    ),
    pa.field("disposition", _TEXT),
    pa.field("policy", _TEXT),
    pa.field("section", _TEXT),
    pa.field("index", pa.int32()),
    pa.field("sources", pa.int32()),
)
#: Why an event has no plan: the path in it and the reason; null where it has one.
_ERROR: Final = pa.field("error", _TEXT)
#: Exploded: a row for each planned action; for an event that cannot be decided one row with an ``error`` and no action.
ACTIONS: Final = pa.schema([*_ACTION, _ERROR])
#: Nested: a row for each event, ``actions`` null where there is an ``error``.
PLANS: Final = pa.schema([pa.field("actions", pa.list_(pa.struct(_ACTION))), _ERROR])

#: The most actions of one array: offsets have 32 bits.
_MOST: Final = (1 << 31) - 1
#: The columns of an event that can decide.
COLUMNS: Final = (*SCOPES, "policy_uid", "policy_name")


class Decide:
    """Decides every row of a batch. Pickles as policies and options; each process compiles them once.

    Args:
        policies: what ``load``, ``loads`` or ``from_documents`` returned.
        explode: a row for each action (``ACTIONS``), or one for each event (``PLANS``).
        keep: columns of the events that the result has too, first; None: ``id``, where there is one.
        defaults, not_in, mode: as of ``Engine``.

    Raises:
        TypeError: ``policies`` is not a PolicySet.
        ValueError: an option has no such value, or a column to keep is named as one of the result's.
    """

    def __init__(
        self,
        policies: PolicySet,
        *,
        explode: bool = True,
        keep: Sequence[str] | None = None,
        defaults: Defaults = "always",
        not_in: NotIn = "kubernetes",
        mode: Literal["audit"] | None = None,
    ) -> None:
        if not isinstance(policies, PolicySet):
            raise TypeError("a decision is made from a PolicySet: what load(), loads() or from_documents() return")
        self._set(Shipped(policies.digest, (defaults, not_in, mode), policies), explode, keep)

    def _set(self, shipped: Shipped, explode: bool, keep: Sequence[str] | None) -> None:
        if isinstance(keep, str):
            raise TypeError("`keep` is a list of names")
        self._shipped = shipped
        self._engine = engine_of(shipped)
        self._explode = explode
        self._keep = None if keep is None else tuple(keep)
        self._own = ACTIONS if explode else PLANS
        for name in self._keep or ():
            if name in self._own.names:
                raise ValueError(f"a column of the result is called `{name}`: rename the one that is to be kept")

    @property
    def policy_set(self) -> str:
        """The digest of the policies."""
        return self._shipped.digest

    def kept(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return which columns of events with these columns the result has too.

        Raises:
            ValueError: one that is to be kept is missing.
        """
        if self._keep is None:
            return ("id",) if "id" in names else ()
        for name in self._keep:
            if name not in names:
                raise ValueError(f"the events have no column `{name}` to keep")
        return self._keep

    def reads(self, events: pa.Schema) -> dict[str, tuple[str, ...] | None]:
        """Return the columns that decide or are kept, each with those of its fields that do; None for all of it.

        Without all others every decision is the same: tests/integrations/test_batches.py.

        Raises:
            ValueError: one that is to be kept is missing.
        """
        kept = self.kept(events.names)
        named = _named(self._engine.policies)
        found: dict[str, tuple[str, ...] | None] = {}
        for field in events:
            if field.name in named and field.name not in kept:
                found[field.name] = _fields(field.type, named[field.name])
            elif field.name in kept or field.name in COLUMNS:
                found[field.name] = None
        return found

    def schema(self, events: pa.Schema) -> pa.Schema:
        """Return the schema of the result.

        Raises:
            EventError: a column that the policies check has the wrong type.
            ValueError: a column that is to be kept is missing.
        """
        nothing = [pa.array([], kind) for kind in events.types]
        self._engine.evaluate_batch(pa.RecordBatch.from_arrays(nothing, schema=events))
        return self._schema(events)

    def _schema(self, events: pa.Schema) -> pa.Schema:
        return pa.schema([*(events.field(name) for name in self.kept(events.names)), *self._own])

    def __call__(self, events: Any) -> Any:
        """Return the decisions for a RecordBatch or a Table, as the same.

        A row that cannot be decided has its reason under ``error``; so has every row where a column has a type that
        cannot be read: see ``schema``, which raises that.

        Raises:
            ValueError: a column that is to be kept is missing.
        """
        if isinstance(events, pa.Table):
            schema = self._schema(events.schema)
            made = [part for batch in events.to_batches() for part in self._parts(batch, schema)]
            return pa.Table.from_batches(made, schema)
        schema = self._schema(events.schema)
        parts = list(self._parts(events, schema))
        if len(parts) == 1:
            return parts[0]
        columns = [pa.concat_arrays([part.column(place) for part in parts]) for place in range(len(schema))]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _parts(self, batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            yield self._decided(batch, schema)
            return
        except (EventError, pa.ArrowInvalid) as error:
            if batch.num_rows < 2 or self._hopeless(batch):
                yield self._failed(batch, schema, _why(error))
                return
        # Halved until what is wrong stands alone: rows like that are few, or this is slow.
        half = batch.num_rows // 2
        for part in (batch.slice(0, half), batch.slice(half)):
            yield from self._parts(part, schema)

    def _hopeless(self, batch: pa.RecordBatch) -> bool:
        """Tell whether it is the columns that are wrong, not what some rows hold."""
        try:
            self._engine.evaluate_batch(batch.slice(0, 0))
        except (EventError, pa.ArrowInvalid):
            return True
        return False

    def _decided(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        actions, rows, starts = _actions(self._engine.evaluate_batch(batch))
        kept = batch.select(self.kept(batch.schema.names))
        if self._explode:
            own = [*actions.flatten(), _nothing(len(rows))]
            kept = kept.take(rows)
        else:
            own = [pa.ListArray.from_arrays(starts, actions, type=PLANS.field("actions").type)]
            own.append(_nothing(batch.num_rows))
        return pa.RecordBatch.from_arrays([*kept.columns, *own], schema=schema)

    def _failed(self, batch: pa.RecordBatch, schema: pa.Schema, why: str) -> pa.RecordBatch:
        own = [pa.nulls(batch.num_rows, field.type) for field in self._own]
        own[-1] = pa.repeat(why, batch.num_rows)
        kept = batch.select(self.kept(batch.schema.names))
        return pa.RecordBatch.from_arrays([*kept.columns, *own], schema=schema)

    def __repr__(self) -> str:
        return f"Decide({self._engine.policies!r}, explode={self._explode}, keep={self._keep})"

    def __reduce__(self) -> tuple[Callable[..., Decide], tuple[Any, ...]]:
        return _rebuild, (self._shipped, self._explode, self._keep)


def _named(policies: PolicySet) -> dict[str, set[str]]:
    """Return what the policies name of each scope."""
    named = {scope: set(keys) for scope, keys in policies.named.items()}
    for scope in LABEL_SCOPES:
        named[scope] = {"labels"} if named[scope] else set()
    # Where its label of the name is missing, the name itself stands for it.
    named["namespace"].add("name")
    return named


def _fields(kind: pa.DataType, named: set[str]) -> tuple[str, ...] | None:
    """Return which fields of an object are named; any one where none is, for whether it is there may decide."""
    if not pa.types.is_struct(kind) or not kind.num_fields:
        return None
    names = tuple(field.name for field in kind)
    # Of a field that stands twice it has to be said.
    if len(set(names)) < len(names):
        return None
    return tuple(name for name in names if name in named) or names[:1]


def _rebuild(shipped: Shipped, explode: bool, keep: tuple[str, ...] | None) -> Decide:
    made = Decide.__new__(Decide)
    made._set(shipped, explode, keep)
    return made


def _why(error: Exception) -> str:
    """Return what is wrong, without the number of a row: rows are counted otherwise here."""
    if isinstance(error, EventError):
        reason = re.sub(r"^row \d+: ", "", error.reason)
        return f"{error.path}: {reason}"
    return str(error)


def _actions(result: BatchResult) -> tuple[pa.StructArray, pa.Array, pa.Array]:
    """Return the actions of a batch, the row of each, and where the actions of each row begin and the last end.

    Raises:
        ArrowInvalid: they are more, or their texts longer, than columns of one array hold.
    """
    count = result.decided.count_actions()
    if count > _MOST:
        raise pa.ArrowInvalid("the actions of these events are more than one array holds: hand in fewer")
    sizes = len(result) + 1, count
    starts, places = (
        pa.Array.from_buffers(pa.int32(), size, [None, pa.py_buffer(data)])
        for size, data in zip(sizes, result.decided.action_places(), strict=True)
    )
    table = result.table
    columns = [places if field.name == "place" else table[field.name].chunk(0).cast(field.type) for field in _ACTION]
    rows = table["row"].chunk(0).cast(pa.int32())
    return pa.StructArray.from_arrays(columns, fields=list(_ACTION)), rows, starts


def _nothing(count: int) -> pa.Array:
    """Return a column of texts that are all null."""
    # Zeroed pages that are never written cost no memory.
    empty = pa.py_buffer(bytes(4 * (count + 1)))
    return pa.Array.from_buffers(_TEXT, count, [empty, empty, empty])


# Objects of which only some fields were sent, and beside them whether they were there at all.


def mended(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Return events whose objects are null where the last columns, one for each name, say so; without these."""
    if not names:
        return batch
    columns, flags = batch.columns[: -len(names)], batch.columns[-len(names) :]
    said = batch.schema.names[: len(columns)]
    for name, here in zip(names, flags, strict=True):
        place = said.index(name)
        held = columns[place]
        fields = [held.field(number) for number in range(held.type.num_fields)]
        columns[place] = pa.StructArray.from_arrays(fields, fields=list(held.type), mask=pc.invert(here))
    return pa.RecordBatch.from_arrays(columns, said)
