"""A few seconds of the flood that ``tests/trials/flood.py`` makes, against a small queue too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import spyderresp

RIG = Path(__file__).parents[1] / "trials" / "flood.py"


# One round is acted on, one waits for that, one is decided and one waits to be: what eight send finds no room.
FULL = ["--seconds", "3", "--queue", "300", "--size", "200", "--connections", "8", "--stalled"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--seconds", "4"], FULL])
def test_what_was_accepted_is_decided(options):
    root = str(Path(spyderresp.__file__).parents[1])
    kept = os.environ.get("PYTHONPATH")
    done = subprocess.run(
        [sys.executable, str(RIG), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, kept]))},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["accepted"] > 0
    assert said["steps_due"] > 0
    if "--stalled" in options:
        assert said["turned_away"] > 0
