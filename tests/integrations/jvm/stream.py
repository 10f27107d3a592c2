"""A stream of files decided by Spark on the JVM, until all of it is written: argv is folder, and files a batch."""

from __future__ import annotations

import sys
from pathlib import Path

import spark_cases as cases
from pyspark.sql import SparkSession

from spyderresp.distributed.spark import decide


def session() -> SparkSession:
    builder = SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "2").config("spark.driver.host", "127.0.0.1")
    return builder.config("spark.driver.memory", "1g").getOrCreate()


def main(folder: Path, files: int) -> None:
    spark = session()
    events = spark.readStream.schema(cases.SCHEMA).option("maxFilesPerTrigger", files).json(str(folder / "events"))
    query = (
        decide(events, cases.policies())
        .writeStream.format("parquet")
        .option("path", str(folder / "actions"))
        .option("checkpointLocation", str(folder / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
