"""Decisions in Spark: a DataFrame of events in, one of actions or plans out. Extra ``spark``, PySpark 4.

``mapInArrow`` over ``batches.Decide``: on the JVM and on Spark Connect, in batch and in Structured Streaming. The
package must be installed on the workers. Nothing is executed there, and no row fails a job: see ``error``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
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
from spyderresp.distributed import ACTIONS, COLUMNS, PLANS, Decide, mended
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
    """Return what to do about each event, as a DataFrame; lazily, as Spark does.

    Args:
        events: columns of the normal form, the scopes as structs, labels as maps or structs; null and a missing column
            are absence. May be streaming.
        policies: what ``load``, ``loads`` or ``from_documents`` returned, here; workers need no files.
        explode: a row for each action (``batches.ACTIONS``), or one for each event (``batches.PLANS``).
        keep: columns of the events that the result has too, first; None: ``id``, where there is one.
        defaults: as of ``Engine``.
        not_in: as of ``Engine``.
        mode: as of ``Engine``.

    Raises:
        EventError: a column that the policies check has the wrong type.
        ValueError: a column that is to be kept is missing, or is named as one of the result's.
    """
    function = Decide(policies, explode=explode, keep=keep, defaults=defaults, not_in=not_in, mode=mode)
    kept = function.kept(events.columns)
    # Columns that are not used are not read and not sent, so they may have any type.
    schema = StructType([field for field in events.schema if field.name in COLUMNS or field.name in kept])
    said = to_arrow_schema(schema)
    function.schema(said)
    reads = function.reads(said)
    cut = {name: fields for name, fields in reads.items() if fields is not None and fields != _names(schema[name])}
    columns = {name: events[_quoted(name)] for name in reads}
    sent = events.select(
        *(_cut(column, cut[name]).alias(name) if name in cut else column for name, column in columns.items()),
        # A struct of nulls is present, not absent. A flag column says so: a CASE around the struct would make Parquet
        # readers read all of its fields.
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
    # An inner function: one that could be imported would be sent by its name, and what it decides by not at all.
    def decided(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return (function(mended(batch, cut)) for batch in batches)

    return decided


def _field(field: pa.Field) -> StructField:
    return StructField(field.name, _kind(field.type))


def _kind(kind: pa.DataType) -> DataType:
    if pa.types.is_list(kind):
        return ArrayType(_kind(kind.value_type))
    if pa.types.is_struct(kind):
        return StructType([_field(field) for field in kind])
    return IntegerType() if pa.types.is_int32(kind) else StringType()
