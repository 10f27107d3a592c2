"""Decide Parquet with Dask: here with processes of this machine, or on a cluster that is named.

python examples/scale/with_dask.py policies/ events/ actions/ [tcp://scheduler:8786]
"""

from __future__ import annotations

import sys
from pathlib import Path

import dask
import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from distributed import Client

import spyderresp
from spyderresp.distributed import Decide


def decided(decide: Decide, part: ds.ParquetFileFragment, target: str) -> tuple[int, int]:
    """Decide the row groups of one part, on a worker; return how many actions there are, and how many bad events."""
    done = bad = 0
    with pq.ParquetWriter(target, decide.schema(part.physical_schema)) as writer:
        for batch in part.to_batches():
            rows = decide(batch)
            writer.write_batch(rows)
            failed = rows.num_rows - rows.column("error").null_count
            done, bad = done + rows.num_rows - failed, bad + failed
    return done, bad


def main(policies: str, events: str, actions: str, scheduler: str | None = None) -> None:
    decide = Decide(spyderresp.load(policies))
    source = ds.dataset(events, format="parquet")
    decide.schema(source.schema)
    Path(actions).mkdir(parents=True)
    # A part for each row group: pieces small enough to be done again when a worker dies.
    parts = [part for file in source.get_fragments() for part in file.split_by_row_group()]
    # Once for all tasks: a worker that is sent it again knows it by its digest.
    shared = dask.delayed(decide, pure=True)
    tasks = [
        dask.delayed(decided)(shared, part, str(Path(actions) / f"part-{number:06}.parquet"))
        for number, part in enumerate(parts)
    ]
    if scheduler is None:
        found = dask.compute(*tasks, scheduler="processes")
    else:
        with Client(scheduler):
            found = dask.compute(*tasks)
    print(f"{sum(done for done, _ in found)} actions, {sum(bad for _, bad in found)} bad events")


def frame(decide: Decide, events: dd.DataFrame) -> dd.DataFrame:
    """Return the same of a DataFrame with columns of Arrow types: ``read_parquet(..., dtype_backend="pyarrow")``."""

    def part(rows: pd.DataFrame) -> pd.DataFrame:
        return decide(pa.Table.from_pandas(rows, preserve_index=False)).to_pandas(types_mapper=pd.ArrowDtype)

    return events.map_partitions(part, meta=part(events._meta))


if __name__ == "__main__":
    main(*sys.argv[1:])
