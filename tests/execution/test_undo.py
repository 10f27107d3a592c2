"""A renice is taken back to what was before it, also where a crash came between."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trials.events import engine_for, event_of, guard

import spyderresp
from spyderresp.execution.undo import undo, undoable
from spyderresp.executors import LocalHost
from spyderresp.journal import Journal, JournalReader, verify

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no pidfds here")
RENICE = engine_for("agentReniceProcess", priority=7)


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        os.setpriority(os.PRIO_PROCESS, process.pid, 3)
        yield process.pid
        process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def nice(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def take_back(path: Path) -> list[str]:
    with JournalReader(path) as reader:
        known = undoable(reader.entries())
    with Journal(path, guest=True) as journal:
        return [undo(item, LocalHost("rig-host"), journal, time.time()).status for item in known.values()]


def test_a_renice_is_taken_back_once(path: Path, sleeper: int) -> None:
    with Journal(path) as journal:
        report = spyderresp.execute(RENICE.evaluate(event_of(sleeper)), LocalHost("rig-host"), guard(), journal)
    assert [item.status for item in report] == ["done"]
    assert nice(sleeper) == 7
    assert take_back(path) == ["done"]
    assert nice(sleeper) == 3
    assert take_back(path) == ["duplicate"]
    assert verify(path).ok


class _Crash(BaseException):
    pass


@pytest.mark.parametrize("later", [{}, {"expiry": 0.0}])
def test_old_values_survive_a_crash_right_after_the_renice(
    path: Path, sleeper: int, monkeypatch: pytest.MonkeyPatch, later: dict[str, Any]
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise _Crash

    journal = Journal(path)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "finish", crash)
        with pytest.raises(_Crash):
            spyderresp.execute(RENICE.evaluate(event_of(sleeper)), LocalHost("rig-host"), guard(), journal)
    journal.close()
    assert nice(sleeper) == 7
    with Journal(path) as journal:
        (outcome,) = spyderresp.reconcile(LocalHost("rig-host"), journal, guard(**later))
    assert outcome.status == ("expired" if later else "done")
    assert take_back(path) == ["done"]
    assert nice(sleeper) == 3


def test_another_process_under_the_pid_is_left_alone(path: Path, sleeper: int) -> None:
    with Journal(path) as journal:
        spyderresp.execute(RENICE.evaluate(event_of(sleeper)), LocalHost("rig-host"), guard(), journal)
    os.kill(sleeper, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper, os.WEXITED | os.WNOWAIT)
    assert take_back(path) == ["already"]
