"""Decide Parquet on one machine, batch by batch; memory is bounded by batches, not by files.

python examples/scale/with_pyarrow.py policies/ events/ actions/
"""

from __future__ import annotations

import sys

import pyarrow.dataset as ds

import spyderresp
from spyderresp.distributed import Decide


def main(policies: str, events: str, actions: str) -> None:
    decide = Decide(spyderresp.load(policies))
    source = ds.dataset(events, format="parquet")
    # Refuses columns of the wrong type before anything is decided.
    schema = decide.schema(source.schema)
    ds.write_dataset(map(decide, source.to_batches()), actions, schema=schema, format="parquet")


if __name__ == "__main__":
    main(*sys.argv[1:])
