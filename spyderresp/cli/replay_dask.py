"""Replays on Dask workers: those of a given scheduler, or processes on this machine. Extra ``dask``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from distributed import Client, KilledWorker, LocalCluster, as_completed

from spyderresp.cli.replay_pieces import RecordingPart, ReplayTask

#: The exceptions that end a replay with a message.
FAILURES: Final = (OSError, KilledWorker)


def pieces(work: ReplayTask, cluster: str | None) -> Iterator[RecordingPart]:
    """Yield the result of each file, in the order of the files, while later files are still being read.

    Args:
        work: the files and the engine.
        cluster: the scheduler's address, such as ``tcp://host:8786``; None: a local process for each core.

    Raises:
        OSError: the scheduler does not answer.
        KilledWorker: a file repeatedly ended the worker that read it.
    """
    with ExitStack() as stack:
        if cluster is None:
            local = LocalCluster(threads_per_worker=1, processes=True, dashboard_address=None)
            cluster = stack.enter_context(local).scheduler_address
        client = stack.enter_context(Client(cluster))
        shared = client.scatter(work, broadcast=True)
        # pure=False gives each task a unique key: on a shared scheduler, equal keys would share results. Dask repeats
        # a lost task.
        futures = [client.submit(ReplayTask.piece, shared, number, pure=False) for number in range(len(work.files))]
        numbers = {future.key: number for number, future in enumerate(futures)}
        finished: dict[int, RecordingPart] = {}
        next_number = 0
        for future, piece in as_completed(futures, with_results=True):
            finished[numbers[future.key]] = piece
            while next_number in finished:
                yield finished.pop(next_number)
                next_number += 1
