"""Decide Parquet on one machine, batch by batch; memory is bounded by batches, not by files.

python examples/scale/with_pyarrow.py policies/ events/ actions/
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq

import spyderresp
from spyderresp.distributed import Decide


def main(policies: str, events: str, actions: str) -> None:
    decide = Decide(spyderresp.load(policies))
    source = ds.dataset(events, format="parquet")
    # Refuses columns of the wrong type before anything is decided.
    schema = decide.schema(source.schema)
    Path(actions).mkdir(parents=True, exist_ok=True)
    # Not write_dataset(): it calls `decide` from a thread of its own. On a busy machine 9 of 600 processes aborted at
    # exit, after all was written.
    with pq.ParquetWriter(f"{actions}/part-0.parquet", schema) as writer:
        for batch in source.to_batches():
            writer.write_batch(decide(batch))


if __name__ == "__main__":
    main(*sys.argv[1:])
