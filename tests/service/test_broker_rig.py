"""A few trials of ``tests/trials/brokers.py``: service and broker are killed, and nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nats_server import PROGRAM

import spyderresp

RIG = Path(__file__).parents[1] / "trials"
pytestmark = pytest.mark.slow
NEEDED = pytest.mark.skipif(PROGRAM is None, reason="no nats-server is installed")


def rig(*options: str) -> dict[str, object]:
    paths = [str(Path(spyderresp.__file__).parents[1]), str(RIG.parent), os.environ.get("PYTHONPATH")]
    done = subprocess.run(
        [sys.executable, str(RIG / "brokers.py"), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("broker", [pytest.param("nats", marks=NEEDED), "kafka"])
def test_nothing_is_lost_and_nothing_killed_twice(broker):
    said = rig("--trials", "1", "--events", "500", "--broker", broker)
    assert said["events"]
    assert (said["lost"], said["kills_doubled"], said["flags_lost"]) == (0, 0, 0)


@NEEDED
def test_the_rig_finds_what_is_lost():
    said = rig("--trials", "1", "--events", "100", "--control", "purge")
    assert said["lost"] == said["flags_lost"] == said["events"]
