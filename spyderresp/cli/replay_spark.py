"""A replay by Spark's workers, on the JVM or on Connect. Extra ``spark``."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Final

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spyderresp.cli.replay_pieces import RecordingPart, ReplayTask

#: What ends a replay, and why it says so.
FAILURES: Final = (PySparkException,)
_MADE: Final = pa.schema([("number", pa.int64()), ("piece", pa.binary())])


def pieces(work: ReplayTask, cluster: str | None) -> Iterator[RecordingPart]:
    """Yield what the files come to, in their order, when all are read.

    Args:
        work: the files.
        cluster: ``sc://host:15002`` of a Connect server, or a master such as ``local[4]`` or ``spark://host:7077``;
            None: what the environment says.

    Raises:
        PySparkException: nobody answers there, or the job fails.
    """
    builder = SparkSession.builder.appName("spyderresp replay")
    if cluster is not None:
        builder = builder.remote(cluster) if cluster.startswith("sc://") else builder.master(cluster)
    session = builder.getOrCreate()
    try:
        count = len(work.files)
        # A partition for each file: there is nothing else to balance by.
        numbers = session.range(0, count, 1, count)
        rows = numbers.mapInArrow(_each(work), "number long, piece binary").collect()
    finally:
        session.stop()
    for row in sorted(rows, key=lambda row: row["number"]):
        # These come from workers that were sent code, by whoever sent it.
        yield pickle.loads(bytes(row["piece"]))  # noqa: S301


def _each(work: ReplayTask) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    # An inner function: one that could be imported would be sent by its name, and the work not at all.
    def made(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                data = pickle.dumps(work.piece(number), pickle.HIGHEST_PROTOCOL)
                yield pa.RecordBatch.from_arrays([pa.array([number]), pa.array([data], pa.binary())], schema=_MADE)

    return made
