"""A replay by Dask's workers: those of a scheduler that is named, or processes of this machine. Extra ``dask``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from distributed import Client, KilledWorker, LocalCluster, as_completed

from spyderresp.cli.replay_pieces import RecordingPart, ReplayTask

#: What ends a replay, and why it says so.
FAILURES: Final = (OSError, KilledWorker)


def pieces(work: ReplayTask, cluster: str | None) -> Iterator[RecordingPart]:
    """Yield what the files come to, in their order, while others are still being read.

    Args:
        work: the files.
        cluster: the scheduler's address, such as ``tcp://host:8786``; None: a process for each core here.

    Raises:
        OSError: nobody answers there.
        KilledWorker: workers die of a piece.
    """
    with ExitStack() as held:
        if cluster is None:
            here = LocalCluster(threads_per_worker=1, processes=True, dashboard_address=None)
            cluster = held.enter_context(here).scheduler_address
        client = held.enter_context(Client(cluster))
        shared = client.scatter(work, broadcast=True)
        # Names of their own: on a scheduler that others use results are known by name. A lost piece is made again.
        made = [client.submit(ReplayTask.piece, shared, number, pure=False) for number in range(len(work.files))]
        numbers = {future.key: number for number, future in enumerate(made)}
        early: dict[int, RecordingPart] = {}
        turn = 0
        for future, piece in as_completed(made, with_results=True):
            early[numbers[future.key]] = piece
            while turn in early:
                yield early.pop(turn)
                turn += 1
