"""Spark: a job that decides, and the same job with a function that gives back what it is given."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from scaling.clock import processors
from spyderresp.distributed.spark import decide
from spyderresp.policies.policy_set import PolicySet
from spyderresp.policies.vocabulary import SCOPES

#: How a job ends: nothing is kept of it, or it is written.
SINKS = ("noop", "parquet")


def has_jvm() -> bool:
    """Tell whether Spark here is that of the JVM, not only a client."""
    return importlib.util.find_spec("py4j") is not None


@contextmanager
def session(cores: int) -> Iterator[Any]:
    """Give a session: of the JVM where it is here, else of a Connect server in this process."""
    if has_jvm():
        builder = SparkSession.builder.master(f"local[{cores}]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.memory", "3g")
        # Small files are cut, so that each core has some.
        builder = builder.config("spark.sql.files.maxPartitionBytes", "8m").config("spark.log.level", "ERROR")
        spark = builder.getOrCreate()
        yield spark
        spark.stop()
        return
    server = importlib.import_module("pysail.spark").SparkConnectServer(port=0)
    server.start(background=True)
    spark = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
    yield spark
    spark.stop()
    server.stop()


def jobs(spark: Any, events: Path, policies: PolicySet) -> dict[str, Callable[[], Any]]:
    """Return what makes each job's DataFrame; nothing runs yet."""
    read = spark.read.parquet(str(events))
    sent = read.select(*(name for name in read.columns if name == "id" or name in SCOPES))

    def identity(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    return {
        "identity": lambda: sent.mapInArrow(identity, sent.schema),
        "a row each action": lambda: decide(read, policies),
        "a row each event": lambda: decide(read, policies, explode=False),
    }


def ended(frame: Any, sink: str, folder: Path) -> None:
    """Run a job."""
    if sink == "noop":
        frame.write.format("noop").mode("overwrite").save()
    else:
        emptied(folder)
        frame.write.parquet(str(folder))


def emptied(folder: Path) -> None:
    """Take away what an earlier run wrote."""
    shutil.rmtree(folder, ignore_errors=True)


def timed(spark: Any, events: Path, policies: PolicySet, sink: str, folder: Path, rounds: int) -> dict[str, list[Any]]:
    """Return seconds on the clock and of processors, of each job in each round; one more warms up first."""
    made = jobs(spark, events, policies)
    found: dict[str, list[Any]] = {name: [] for name in made}
    for number in range(rounds + 1):
        for name in list(made)[:: 1 if number % 2 else -1]:
            begun, spent = time.perf_counter(), processors()
            ended(made[name](), sink, folder)
            if number:
                found[name].append((time.perf_counter() - begun, processors() - spent))
    return found
