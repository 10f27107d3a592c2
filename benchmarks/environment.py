"""Where the benchmarks run: how a child process finds the same modules, and what machine and versions these are."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import spyderresp

HERE = Path(__file__).resolve().parent
_PACKAGES = (
    "orjson",
    "pyarrow",
    "PyYAML",
    "Cython",
    "zen-engine",
    "cedarpy",
    "common-expression-language",
    "datalogic-py",
)


def child_environment(**more: str) -> dict[str, str]:
    """Return the environment of a child that imports the same package and the benchmarks' modules."""
    paths = [str(HERE), str(Path(spyderresp.__file__).resolve().parent.parent)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def machine() -> str:
    """Return the processor, how many of it there are, and the system."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} processors, {platform.system()}"


def versions() -> dict[str, str]:
    """Return the versions of everything that takes part; what is not installed is left out."""
    installed = {package.name.lower(): package.version for package in importlib.metadata.distributions()}
    found = {"Python": platform.python_version(), "spyderresp": spyderresp.__version__}
    return found | {name: installed[name.lower()] for name in _PACKAGES if name.lower() in installed}
