"""The same policies and event give the same bytes: in any process, under any hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_plans_under_different_hash_seeds(tmp_path: Path) -> None:
    outputs = set()
    for seed in ("0", "1", "4242"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        for module in ("plan", "explain"):
            events = EXAMPLES / "events.jsonl"
            if module == "explain":
                events = tmp_path / "event.json"
                events.write_text((EXAMPLES / "events.jsonl").read_text().splitlines()[0])
            command = [
                sys.executable,
                "-m",
                "spyderresp",
                module,
                "--policies",
                str(EXAMPLES / "policies"),
                str(events),
            ]
            done = subprocess.run(command, capture_output=True, check=True, env=environment, cwd=tmp_path)
            outputs.add((module, done.stdout))
    assert len(outputs) == 2
