"""Decide Parquet with Ray Data: here, or on the cluster that ``RAY_ADDRESS`` names.

python examples/scale/with_ray.py policies/ events/ actions/
"""

from __future__ import annotations

import sys

import pyarrow.dataset as ds
import ray

import spyderresp
from spyderresp.distributed import Decide


def main(policies: str, events: str, actions: str) -> None:
    decide = Decide(spyderresp.load(policies))
    decide.schema(ds.dataset(events, format="parquet").schema)
    source = ray.data.read_parquet(events)
    # Arrow tables, as large as they come: nothing is copied, and a process compiles the policies once.
    source.map_batches(decide, batch_format="pyarrow", batch_size=None, zero_copy_batch=True).write_parquet(actions)


if __name__ == "__main__":
    main(*sys.argv[1:])
