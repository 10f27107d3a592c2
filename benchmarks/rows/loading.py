"""Reading policies: against the bare parsers, at the largest size, and what they keep."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from environment import child_environment
from measure import ratio, spread, steady
from workloads import synthetic

import spyderresp
from rows.model import Figure, Settings, not_run

_LARGEST = 100_000


def parsers(settings: Settings) -> Iterator[Figure]:
    """Yield reading and compiling YAML and JSON, against libyaml and ``json`` reading the same text."""
    size = 300 if settings.quick else 2_000
    text = synthetic(size).text
    as_yaml = yaml.dump_all(json.loads(text), Dumper=yaml.CSafeDumper, sort_keys=False)
    assert spyderresp.loads(as_yaml).digest == spyderresp.loads(text).digest
    yaml_costs: tuple[list[float], list[float]] = ([], [])
    json_costs: tuple[list[float], list[float]] = ([], [])
    for _ in range(5 if settings.quick else 9):
        yaml_costs[0].append(_cost(lambda: spyderresp.Engine(spyderresp.loads(as_yaml))))
        yaml_costs[1].append(_cost(lambda: list(yaml.compose_all(as_yaml, Loader=yaml.CSafeLoader))))
        json_costs[0].append(_cost(lambda: spyderresp.Engine(spyderresp.loads(text))))
        json_costs[1].append(_cost(lambda: json.loads(text)))
    for label, costs, must, aim in (
        ("loads and Engine, YAML / yaml.compose_all with libyaml", yaml_costs, 3.0, 2.0),
        ("loads and Engine, JSON / json.loads", json_costs, 10.0, 5.0),
    ):
        ours, theirs = costs
        yield Figure(
            f"{label}, {size:,} policies",
            ratio(ours, theirs),
            must=must,
            aim=aim,
            note=spread(ours, theirs),
            detail={"ours, ms": statistics.median(ours) / 1e6, "theirs, ms": statistics.median(theirs) / 1e6},
        )


def largest(settings: Settings) -> Iterator[Figure]:
    """Yield time and memory of the largest policy set, in a process of its own."""
    size = max(settings.sizes)
    command = [sys.executable, "-m", "children.largest", str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=child_environment())
    if done.returncode:
        yield not_run(f"{size:,} policies", (done.stderr.strip().splitlines() or ["?"])[-1])
        return
    found: dict[str, Any] = json.loads(done.stdout)
    judged = size == _LARGEST
    seconds = found["load"] + found["compile"]
    yield Figure(
        f"load from JSON and compile, {size:,} policies",
        seconds,
        unit="s",
        must=30.0 if judged else None,
        aim=8.0 if judged else None,
        detail={"load, s": found["load"], "compile, s": found["compile"]},
    )
    for label, key, must, aim in (("index", "index", 4.0, 1.0), ("policy set", "policies", 12.0, 6.0)):
        yield Figure(
            f"resident memory a policy, {label}, {size:,} policies",
            found[key] / size / 1024,
            unit="KiB",
            must=must if judged else None,
            aim=aim if judged else None,
            note="after malloc_trim; the text itself is given back" if key == "policies" else "",
        )


def _cost(function: Callable[[], Any]) -> int:
    with steady():
        begun = time.process_time_ns()
        made = function()
        taken = time.process_time_ns() - begun
    del made
    return taken
