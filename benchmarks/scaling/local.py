"""Processes of this machine, each deciding its share of row groups; and Dask's workers, doing the same."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import dask
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, LocalCluster

from scaling.clock import processors
from spyderresp.distributed import Decide

_ROWS = 65_536
Part = tuple[str, int]


def parts(events: Path) -> list[Part]:
    """Return every row group: its file and number."""
    files = sorted(map(str, events.glob("*.parquet")))
    return [(file, number) for file in files for number in range(pq.read_metadata(file).num_row_groups)]


def decided(decide: Decide, part: Part, folder: str | None = None) -> tuple[int, int]:
    """Decide a row group, write what comes of it where there is a folder; return how many events and rows."""
    path, number = part
    file = pq.ParquetFile(path)
    reads = decide.reads(file.schema_arrow)
    columns = [
        path for name, fields in reads.items() for path in ([f"{name}.{key}" for key in fields] if fields else [name])
    ]
    events = actions = 0
    writer = None
    if folder is not None:
        target = os.path.join(folder, f"{Path(path).stem}-{number:03}.parquet")
        writer = pq.ParquetWriter(target, decide.schema(file.schema_arrow))
    for batch in file.iter_batches(_ROWS, row_groups=[number], columns=columns):
        rows = decide(batch)
        events, actions = events + batch.num_rows, actions + rows.num_rows
        if writer is not None:
            writer.write_batch(rows)
    if writer is not None:
        writer.close()
    return events, actions


def in_processes(decide: Decide, chosen: list[Part], cores: int) -> tuple[float, float, int, int]:
    """Return seconds on the clock and of processors, events and rows, by processes that are ready before."""
    context = multiprocessing.get_context("spawn")
    ready, go, shares = context.Barrier(cores + 1), context.Barrier(cores + 1), context.Queue()
    children = [
        context.Process(target=_child, args=(decide, chosen[place::cores], ready, go, shares)) for place in range(cores)
    ]
    for child in children:
        child.start()
    ready.wait()
    begun, spent = time.perf_counter(), processors()
    go.wait()
    found = [shares.get() for _ in children]
    took, spent = time.perf_counter() - begun, processors() - spent
    for child in children:
        child.join()
    return took, spent, sum(events for events, _ in found), sum(rows for _, rows in found)


def _child(decide: Decide, share: list[Part], ready: Any, go: Any, shares: Any) -> None:
    _alone()
    ready.wait()
    go.wait()
    found = [decided(decide, part) for part in share]
    shares.put((sum(events for events, _ in found), sum(rows for _, rows in found)))


def _alone() -> None:
    """Keep Arrow from using the other cores."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def in_dask(decide: Decide, chosen: list[Part], cores: int, folder: str | None = None) -> tuple[float, float, int, int]:
    """Return the same with Dask's workers, a thread each; its scheduler has a process beside them."""
    with (
        LocalCluster(n_workers=cores, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.run(_alone)
        sent = client.scatter(decide, broadcast=True)
        begun, spent = time.perf_counter(), processors()
        tasks = [dask.delayed(decided)(sent, part, folder) for part in chosen]
        found = dask.compute(*tasks)
        took, spent = time.perf_counter() - begun, processors() - spent
    return took, spent, sum(events for events, _ in found), sum(rows for _, rows in found)
