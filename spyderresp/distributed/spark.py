"""Decides events in Spark: a DataFrame of events in, a DataFrame of actions or plans out. Extra ``spark``, PySpark 4.

``decide`` applies ``Decide`` with ``mapInArrow``. It works on the JVM and on Spark Connect, in batch jobs and in
Structured Streaming. The package must be installed on the workers. Nothing is carried out there. A row that cannot be
decided does not fail the job: its ``error`` has the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812 - the usual name
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import (
    ArrayType,
    DataType,
    IntegerType,
    StringType,
    StructField,
    StructType,
)

from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.distributed import ACTIONS, COLUMNS, PLANS, Decide, with_absent_scopes
from spyderresp.policies.policy_set import PolicySet

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def decide(
    events: DataFrame,
    policies: PolicySet,
    *,
    explode: bool = True,
    keep: Sequence[str] | None = None,
    defaults: Defaults = "always",
    not_in: NotIn = "kubernetes",
    mode: Literal["audit"] | None = None,
) -> DataFrame:
    """Return a DataFrame with the decisions for events. Like other Spark operations, it is lazy.

    Args:
        events: the events in the normal form, batch or streaming: scopes are structs, labels are maps or structs. Null
            and a missing column mean absence.
        policies: the policies, as ``load``, ``loads`` or ``from_documents`` return them. Workers need no policy files.
        explode: True: a row for each action (``ACTIONS``); False: a row for each event (``PLANS``).
        keep: the columns of the events that come first in the result; None: ``id``, if the events have it.
        defaults: as for ``Engine``.
        not_in: as for ``Engine``.
        mode: as for ``Engine``.

    Raises:
        EventError: a column that the policies name has the wrong type.
        ValueError: a column to keep is missing, or has the name of a column of the result.
    """
    function = Decide(policies, explode=explode, keep=keep, defaults=defaults, not_in=not_in, mode=mode)
    kept = function.kept(events.columns)
    # Columns that are not used are not read and not sent, so they may have any type.
    schema = StructType([field for field in events.schema if field.name in COLUMNS or field.name in kept])
    arrow_schema = to_arrow_schema(schema)
    function.schema(arrow_schema)
    reads = function.reads(arrow_schema)
    cut = {name: fields for name, fields in reads.items() if fields is not None and fields != _names(schema[name])}
    columns = {name: events[_quoted(name)] for name in reads}
    sent = events.select(
        *(_cut(column, cut[name]).alias(name) if name in cut else column for name, column in columns.items()),
        # A struct of nulls is present, not absent, so a column of its own shows whether the scope is present. A CASE
        # around the struct would make Parquet readers read all fields.
        *(columns[name].isNotNull().alias(f"{name} is there") for name in cut),
    )
    fields = [schema[name] for name in kept]
    fields += [_field(field) for field in (ACTIONS if explode else PLANS)]
    return sent.mapInArrow(_each(function, tuple(cut)), StructType(fields))


def _cut(column: Column, fields: tuple[str, ...]) -> Column:
    return F.struct(*(column.getField(field).alias(field) for field in fields))


def _names(field: StructField) -> tuple[str, ...]:
    return tuple(field.dataType.names) if isinstance(field.dataType, StructType) else ()


def _quoted(name: str) -> str:
    escaped = name.replace("`", "``")
    return f"`{escaped}`"


def _each(function: Decide, cut: tuple[str, ...]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    # An inner function is sent with the data that it uses. An importable function is sent only by its name.
    def decided(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return (function(with_absent_scopes(batch, cut)) for batch in batches)

    return decided


def _field(field: pa.Field) -> StructField:
    return StructField(field.name, _kind(field.type))


def _kind(kind: pa.DataType) -> DataType:
    if pa.types.is_list(kind):
        return ArrayType(_kind(kind.value_type))
    if pa.types.is_struct(kind):
        return StructType([_field(field) for field in kind])
    return IntegerType() if pa.types.is_int32(kind) else StringType()
