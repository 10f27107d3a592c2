"""mypy, in a process of its own: in this one it would leave a million objects to the garbage collector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def mypy(*files: Path, cache: Path) -> tuple[int, str]:
    """Check files with ``--strict``; return the exit code and the findings. Skips the test where mypy is missing."""
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    return done.returncode, done.stdout + done.stderr
