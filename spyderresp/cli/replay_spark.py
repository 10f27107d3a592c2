"""Replays on Spark workers, on the JVM or through Spark Connect. Extra ``spark``."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Final

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spyderresp.cli.replay_pieces import RecordingPart, ReplayTask

#: The exceptions that end a replay with a message.
FAILURES: Final = (PySparkException,)
_MADE: Final = pa.schema([("number", pa.int64()), ("piece", pa.binary())])


def pieces(work: ReplayTask, cluster: str | None) -> Iterator[RecordingPart]:
    """Yield the result of each file, in the order of the files, after all are read.

    Args:
        work: the files and the engine.
        cluster: ``sc://host:15002`` of a Connect server, or a master such as ``local[4]`` or ``spark://host:7077``;
            None: Spark reads it from the environment.

    Raises:
        PySparkException: the cluster does not answer, or the job fails.
    """
    builder = SparkSession.builder.appName("spyderresp replay")
    if cluster is not None:
        builder = builder.remote(cluster) if cluster.startswith("sc://") else builder.master(cluster)
    session = builder.getOrCreate()
    try:
        count = len(work.files)
        # One partition for each file: the sizes of the files are not compared.
        numbers = session.range(0, count, 1, count)
        rows = numbers.mapInArrow(_each(work), "number long, piece binary").collect()
    finally:
        session.stop()
    for row in sorted(rows, key=lambda row: row["number"]):
        # Trusted: the data comes from workers that run the code that this process sent.
        yield pickle.loads(bytes(row["piece"]))  # noqa: S301


def _each(work: ReplayTask) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    # An inner function is sent with the data that it uses. An importable function is sent only by its name.
    def made(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                data = pickle.dumps(work.piece(number), pickle.HIGHEST_PROTOCOL)
                yield pa.RecordBatch.from_arrays([pa.array([number]), pa.array([data], pa.binary())], schema=_MADE)

    return made
