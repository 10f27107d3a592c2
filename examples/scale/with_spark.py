"""Decide Parquet with Spark: on the JVM, or on the Connect server that is named.

python examples/scale/with_spark.py policies/ events/ actions/ [sc://host:15002]
"""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession

import spyderresp
from spyderresp.distributed.spark import decide


def main(policies: str, events: str, actions: str, server: str | None = None) -> None:
    builder = SparkSession.builder
    spark = (builder.remote(server) if server else builder).getOrCreate()
    rows = decide(spark.read.parquet(events), spyderresp.load(policies))
    rows.write.parquet(actions)
    written = spark.read.parquet(actions)
    print(f"{written.where('error is null').count()} actions, {written.where('error is not null').count()} bad events")
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
