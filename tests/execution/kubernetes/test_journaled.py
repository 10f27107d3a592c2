"""Pods and the journal: accepted is followed up to its end, and a crash in the middle kills nobody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kube_cluster import ENGINE, Cluster, event

import spyderresp
from spyderresp.execution.reconciliation import follow_up, reconcile
from spyderresp.executors import Kubernetes
from spyderresp.guards import Guard
from spyderresp.journal import Journal

Make = Callable[..., Kubernetes]


class Crash(BaseException):
    """Nothing after it is run."""


def carry_out(executor: Any, journal: Journal, said: dict[str, Any]) -> spyderresp.StepOutcome:
    (outcome,) = spyderresp.execute(ENGINE.evaluate(said), executor, Guard(kill_switch=None), journal, event=said)
    return outcome


def test_the_journal_follows_a_deletion_up(cluster: Cluster, executor: Make, tmp_path: Path) -> None:
    kubernetes = executor()
    said = event("journaled", cluster.create("journaled"), id="e1")
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert carry_out(kubernetes, journal, said).status == "accepted"
        assert carry_out(kubernetes, journal, said).status == "duplicate"
        assert follow_up(kubernetes, journal) == ()
        cluster.recreate("journaled")
        (ended,) = follow_up(kubernetes, journal)
        assert ended.status == "done"
        assert follow_up(kubernetes, journal) == ()


@pytest.mark.parametrize("arrived", [False, True])
@pytest.mark.parametrize("meanwhile", ["there", "gone", "another"])
def test_after_a_crash_the_pod_is_looked_at_first(
    cluster: Cluster, executor: Make, tmp_path: Path, arrived: bool, meanwhile: str
) -> None:
    """The process dies right before the deletion was asked for, or right after."""
    kubernetes = executor()
    uid = cluster.create("crashed", bound=False)
    deletes = kubernetes.carry_out

    def crash(pod: Any) -> Any:
        if arrived:
            deletes(pod)
        raise Crash

    kubernetes.carry_out = crash  # type: ignore[method-assign]
    file = tmp_path / "journal.sqlite"
    with Journal(file) as journal, pytest.raises(Crash):
        carry_out(kubernetes, journal, event("crashed", uid, id="e1"))
    if meanwhile == "gone":
        cluster.finish("crashed")
    second = cluster.recreate("crashed", bound=False) if meanwhile == "another" else None
    with Journal(file) as journal:
        (outcome,) = reconcile(executor(), journal, Guard(kill_switch=None))
        assert reconcile(executor(), journal, Guard(kill_switch=None)) == ()
    there = "already" if arrived else "done"
    assert outcome.status == {"there": there, "gone": "already", "another": "mismatch"}[meanwhile]
    assert cluster.uid("crashed") == second
