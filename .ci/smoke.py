"""Runs what is installed, once: the native modules import, and the example's plans come out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import spyderresp

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PROJECT = EXAMPLES.parent


def main() -> None:
    assert PROJECT not in Path(spyderresp.__file__).resolve().parents, "this is the checkout, not the wheel"
    engine = spyderresp.Engine(spyderresp.load(EXAMPLES / "policies"))
    lines = (EXAMPLES / "events.jsonl").read_text(encoding="utf-8").splitlines()
    plans = [engine.evaluate(json.loads(line)).to_dict() for line in lines if line]
    assert sum(len(plan["actions"]) for plan in plans), "no plan has an action"
    command = [sys.executable, "-m", "spyderresp", "plan", "--policies", str(EXAMPLES / "policies")]
    said = subprocess.run([*command, str(EXAMPLES / "events.jsonl")], check=True, capture_output=True, text=True).stdout
    assert [json.loads(line)["actions"] for line in said.splitlines()] == [plan["actions"] for plan in plans]
    print(f"spyderresp {spyderresp.__version__}, {sys.version.split()[0]}: {len(plans)} plans")


if __name__ == "__main__":
    main()
