"""Decides Arrow batches on the workers of Spark, Dask, Ray and other engines. Extra ``arrow``.

``Decide`` is a function that can be pickled: a batch of events in, a batch of decisions out. It carries nothing out.
The columns of events are those of ``Engine.evaluate_batch``. The result has the kept columns of the events, then those
of ``ACTIONS`` or ``PLANS``. An example::

    decide = Decide(spyderresp.load("policies/"))
    decisions = decide(pyarrow.parquet.read_table("events.parquet"))
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
# The columns of an action: those of ``BatchResult.table`` without ``row``, and without dictionaries. ``place`` is the
# position of the action in its plan, from 0, because the rows of a distributed table have no order.
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
# Why an event cannot be decided: the path in the event, and the reason. Null if it was decided.
_ERROR: Final = pa.field("error", _TEXT)
#: The columns of exploded decisions: a row for each planned action. An event that cannot be decided gives one row with
#: an ``error`` and without an action.
ACTIONS: Final = pa.schema([*_ACTION, _ERROR])
#: The columns of nested decisions: a row for each event; ``actions`` is null if there is an ``error``.
PLANS: Final = pa.schema([pa.field("actions", pa.list_(pa.struct(_ACTION))), _ERROR])

# The most actions of one array: offsets have 32 bits.
_MOST: Final = (1 << 31) - 1
#: The columns of an event that can affect its plan.
COLUMNS: Final = (*SCOPES, "policy_uid", "policy_name")


class Decide:
    """Decides every row of a batch. Its pickle holds the policies and options; each process compiles them once.

    Args:
        policies: the policies, as ``load``, ``loads`` or ``from_documents`` return them.
        explode: True: the result has a row for each action (``ACTIONS``); False: a row for each event (``PLANS``).
        keep: the columns of the events that come first in the result; None: ``id``, if the events have it.
        defaults: as for ``Engine``.
        not_in: as for ``Engine``.
        mode: as for ``Engine``.

    Raises:
        TypeError: ``policies`` is not a PolicySet, or ``keep`` is a str.
        ValueError: an option has an unknown value, or a kept column has the name of a column of the result.
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
            raise TypeError("`policies` must be a PolicySet, as load(), loads() and from_documents() return it")
        self._set(Shipped(policies.digest, (defaults, not_in, mode), policies), explode, keep)

    def _set(self, shipped: Shipped, explode: bool, keep: Sequence[str] | None) -> None:
        if isinstance(keep, str):
            raise TypeError("`keep` must be a list of names")
        self._shipped = shipped
        self._engine = engine_of(shipped)
        self._explode = explode
        self._keep = None if keep is None else tuple(keep)
        self._own = ACTIONS if explode else PLANS
        for name in self._keep or ():
            if name in self._own.names:
                raise ValueError(f"the result has a column `{name}` of its own: rename the column to keep")

    @property
    def policy_set(self) -> str:
        """The digest of the policies."""
        return self._shipped.digest

    def kept(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the columns to keep of events with these columns.

        Raises:
            ValueError: a column to keep is missing.
        """
        if self._keep is None:
            return ("id",) if "id" in names else ()
        for name in self._keep:
            if name not in names:
                raise ValueError(f"the events have no column `{name}` to keep")
        return self._keep

    def reads(self, events: pa.Schema) -> dict[str, tuple[str, ...] | None]:
        """Return the columns that affect decisions or are kept, each with the fields that do; None: all fields.

        Without other columns and fields the decisions are the same. tests/integrations/test_batches.py tests this.

        Raises:
            ValueError: a column to keep is missing.
        """
        kept = self.kept(events.names)
        named = _named(self._engine.policies)
        columns: dict[str, tuple[str, ...] | None] = {}
        for field in events:
            if field.name in named and field.name not in kept:
                columns[field.name] = _fields(field.type, named[field.name])
            elif field.name in kept or field.name in COLUMNS:
                columns[field.name] = None
        return columns

    def schema(self, events: pa.Schema) -> pa.Schema:
        """Return the schema of the result.

        Raises:
            EventError: a column that the policies name has the wrong type.
            ValueError: a column to keep is missing.
        """
        empty = [pa.array([], kind) for kind in events.types]
        self._engine.evaluate_batch(pa.RecordBatch.from_arrays(empty, schema=events))
        return self._schema(events)

    def _schema(self, events: pa.Schema) -> pa.Schema:
        return pa.schema([*(events.field(name) for name in self.kept(events.names)), *self._own])

    def __call__(self, events: Any) -> Any:
        """Return the decisions for a RecordBatch or a Table, as a RecordBatch or a Table.

        A row that cannot be decided has the reason under ``error``. If a column has a wrong type, every row has that
        reason; ``schema`` raises it instead.

        Raises:
            ValueError: a column to keep is missing.
        """
        schema = self._schema(events.schema)
        if isinstance(events, pa.Table):
            tables = [part for batch in events.to_batches() for part in self._parts(batch, schema)]
            return pa.Table.from_batches(tables, schema)
        parts = list(self._parts(events, schema))
        if len(parts) == 1:
            return parts[0]
        columns = [pa.concat_arrays([part.column(number) for part in parts]) for number in range(len(schema))]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _parts(self, batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            yield self._decided(batch, schema)
            return
        except (EventError, pa.ArrowInvalid) as error:
            if batch.num_rows < 2 or self._columns_are_wrong(batch):
                yield self._failed(batch, schema, _reason(error))
                return
        # Halve the batch until the bad rows are alone. This is slow if there are many bad rows.
        half = batch.num_rows // 2
        for part in (batch.slice(0, half), batch.slice(half)):
            yield from self._parts(part, schema)

    def _columns_are_wrong(self, batch: pa.RecordBatch) -> bool:
        """Return whether the columns themselves are wrong, and not only some rows."""
        try:
            self._engine.evaluate_batch(batch.slice(0, 0))
        except (EventError, pa.ArrowInvalid):
            return True
        return False

    def _decided(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        actions, rows, starts = _actions(self._engine.evaluate_batch(batch))
        kept = batch.select(self.kept(batch.schema.names))
        if self._explode:
            own = [*actions.flatten(), _null_texts(len(rows))]
            kept = kept.take(rows)
        else:
            own = [pa.ListArray.from_arrays(starts, actions, type=PLANS.field("actions").type)]
            own.append(_null_texts(batch.num_rows))
        return pa.RecordBatch.from_arrays([*kept.columns, *own], schema=schema)

    def _failed(self, batch: pa.RecordBatch, schema: pa.Schema, reason: str) -> pa.RecordBatch:
        own = [pa.nulls(batch.num_rows, field.type) for field in self._own]
        own[-1] = pa.repeat(reason, batch.num_rows)
        kept = batch.select(self.kept(batch.schema.names))
        return pa.RecordBatch.from_arrays([*kept.columns, *own], schema=schema)

    def __repr__(self) -> str:
        return f"Decide({self._engine.policies!r}, explode={self._explode}, keep={self._keep})"

    def __reduce__(self) -> tuple[Callable[..., Decide], tuple[Any, ...]]:
        return _rebuild, (self._shipped, self._explode, self._keep)


def _named(policies: PolicySet) -> dict[str, set[str]]:
    """Return the fields of each scope that the policies name."""
    named = {scope: set(keys) for scope, keys in policies.named.items()}
    for scope in LABEL_SCOPES:
        named[scope] = {"labels"} if named[scope] else set()
    # If a namespace lacks the label with its name, its name replaces the label.
    named["namespace"].add("name")
    return named


def _fields(kind: pa.DataType, named: set[str]) -> tuple[str, ...] | None:
    """Return the fields of a scope that are named; if there are none, any field, which shows whether it is present.

    None: all fields.
    """
    if not pa.types.is_struct(kind) or not kind.num_fields:
        return None
    names = tuple(field.name for field in kind)
    # The engine reports fields with the same name.
    if len(set(names)) < len(names):
        return None
    return tuple(name for name in names if name in named) or names[:1]


def _rebuild(shipped: Shipped, explode: bool, keep: tuple[str, ...] | None) -> Decide:
    decide = Decide.__new__(Decide)
    decide._set(shipped, explode, keep)
    return decide


def _reason(error: Exception) -> str:
    """Return the reason of an error, without the number of the row, which counts in the halved batch."""
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


def _null_texts(count: int) -> pa.Array:
    """Return a column of texts that are all null."""
    # Pages of zeros that are never written need no memory.
    empty = pa.py_buffer(bytes(4 * (count + 1)))
    return pa.Array.from_buffers(_TEXT, count, [empty, empty, empty])


def with_absent_scopes(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Return events in which absent scopes are null again.

    Args:
        batch: the events. Its last columns, one for each name, say whether the scope is present in a row.
        names: the scopes of which only some fields were sent.
    """
    if not names:
        return batch
    columns, flags = batch.columns[: -len(names)], batch.columns[-len(names) :]
    all_names = batch.schema.names[: len(columns)]
    for name, present in zip(names, flags, strict=True):
        index = all_names.index(name)
        scope = columns[index]
        fields = [scope.field(number) for number in range(scope.type.num_fields)]
        columns[index] = pa.StructArray.from_arrays(fields, fields=list(scope.type), mask=pc.invert(present))
    return pa.RecordBatch.from_arrays(columns, all_names)
