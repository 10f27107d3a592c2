"""Reading and compiling policies, replacing them, and whole processes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml
from environment import HERE, child_environment
from workloads import synthetic

import spyderresp

_EXAMPLES = HERE.parent / "examples"
SIZES = pytest.mark.parametrize("size", [12, 1_000, 100_000])


def _rounds(size: int) -> dict[str, int]:
    return {"rounds": 1} if size > 10_000 else {"rounds": 5, "warmup_rounds": 1}


@SIZES
def test_load_and_compile_json(benchmark: Any, size: int) -> None:
    text = synthetic(size).text
    benchmark.pedantic(lambda: spyderresp.Engine(spyderresp.loads(text)), **_rounds(size))


@pytest.mark.parametrize("size", [12, 1_000])
def test_load_and_compile_yaml(benchmark: Any, size: int) -> None:
    text = yaml.dump_all(json.loads(synthetic(size).text), Dumper=yaml.CSafeDumper, sort_keys=False)
    benchmark.pedantic(lambda: spyderresp.Engine(spyderresp.loads(text)), **_rounds(size))


@SIZES
def test_compile(benchmark: Any, size: int) -> None:
    policies = synthetic(size).policies
    benchmark.pedantic(lambda: spyderresp.Engine(policies), **_rounds(size))


@SIZES
def test_replace(benchmark: Any, size: int) -> None:
    policies = synthetic(size).policies
    engine = spyderresp.Engine(policies)
    benchmark.pedantic(lambda: engine.replace(policies), **_rounds(size))


def test_import(benchmark: Any) -> None:
    _process(benchmark, "-c", "import spyderresp")


def test_plan_command(benchmark: Any) -> None:
    events = str(_EXAMPLES / "events.jsonl")
    _process(benchmark, "-m", "spyderresp", "plan", "--policies", str(_EXAMPLES / "policies"), events)


def _process(benchmark: Any, *arguments: str) -> None:
    command, environment = [sys.executable, *arguments], child_environment()

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment, cwd="/")

    benchmark.pedantic(run, rounds=10, warmup_rounds=1)
