"""kill -9 at every boundary of execute and journal, as in tests/trials/crash.py, and that this can find faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from trials import namespace

import spyderresp

TESTS = Path(__file__).parents[1]


def rig(*options: str) -> dict[str, object]:
    root = str(Path(spyderresp.__file__).parents[1])
    # A process of its own: it forks, and here there may be threads.
    done = subprocess.run(
        [sys.executable, "-m", "trials", "crash", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
        env={**os.environ, "PYTHONPATH": f"{root}:{TESTS}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize(
    ("stride", "second", "random"), [(8, 40, 4), pytest.param(1, 4, 30, marks=pytest.mark.slow, id="every boundary")]
)
def test_a_crash_anywhere_doubles_loses_and_leaves_open_nothing(stride: int, second: int, random: int) -> None:
    said = rig("--stride", str(stride), "--second", str(second), "--random", str(random))
    assert said["faults"] == 0
    assert isinstance(said["boundaries"], int)
    assert said["boundaries"] > 100
    assert isinstance(said["killed"], int)
    assert said["killed"] > 2 * said["boundaries"] / stride


@pytest.mark.slow
@pytest.mark.skipif(bool(namespace.why_not()), reason=namespace.why_not())
def test_real_processes_die_once_and_innocents_never() -> None:
    said = rig("--real", "--stride", "6", "--second", "12", "--random", "10")
    assert said["faults"] == 0
    assert isinstance(said["killed"], int)
    assert said["killed"] > 30


@pytest.mark.parametrize(
    "control",
    [
        pytest.param("blind", marks=pytest.mark.slow),
        pytest.param("forgetful", marks=pytest.mark.slow),
        "journal-free",
    ],
)
def test_the_rig_finds_what_is_broken_on_purpose(control: str) -> None:
    faults = rig("--control", control, "--stride", "5", "--second", "9")["faults"]
    assert isinstance(faults, int)
    assert faults > 0
