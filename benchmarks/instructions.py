"""Counts instructions with callgrind: the same on every run of one build, whatever else the machine does."""

from __future__ import annotations

import re
import subprocess
import sys

from environment import child_environment
from native import native_module

_COLLECTED = re.compile(r"Collected : (\d+)")


def instructions(kind: str, stream: str, size: int, count: int = 400) -> float:
    """Return the instructions of one evaluation: those of a loop of them, less those of an empty loop.

    Args:
        kind: ``evaluate``, or ``walk`` to look at the plan too.
        stream: ``repeating`` or ``never-seen``.
        size: how many policies.
        count: how many events.

    Raises:
        CannotBuildError: valgrind's header is not there.
    """
    native_module("counting")
    return (_count(kind, stream, size, count) - _count("nothing", stream, size, count)) / count


def _count(kind: str, stream: str, size: int, count: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null"]
    command += [sys.executable, "-m", "children.evaluations", kind, stream, str(size), str(count)]
    environment = child_environment(PYTHONHASHSEED="0")
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    found = _COLLECTED.search(done.stderr)
    if done.returncode or found is None:
        raise RuntimeError(f"callgrind: {done.stderr.strip()[-300:]}")
    return int(found[1])
