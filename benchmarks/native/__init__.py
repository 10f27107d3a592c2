"""Builds and imports the benchmarks' own native module, outside the package: no wheel holds it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType

_SOURCE = Path(__file__).with_name("floor.pyx")


class CannotBuildError(Exception):
    """There is no compiler, or no Cython."""


def floor_module() -> ModuleType:
    """Return the module ``floor``, compiled where its source or the interpreter changed since the last time.

    It is kept under ``$XDG_CACHE_HOME/spyderresp-benchmarks`` (``~/.cache`` where that is not set).

    Raises:
        CannotBuildError: it cannot be compiled; the message says why.
    """
    tag = sysconfig.get_config_var("EXT_SUFFIX")
    digest = hashlib.sha256(_SOURCE.read_bytes() + tag.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spyderresp-benchmarks" / digest
    built = cache / f"floor{tag}"
    if not built.exists():
        _build(built)
    spec = importlib.util.spec_from_file_location("floor", built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "floor.pyx").write_bytes(_SOURCE.read_bytes())
        # A process of its own: setuptools changes the interpreter that it runs in.
        code = (
            "from Cython.Distutils import build_ext; from Cython.Distutils.extension import Extension;"
            "from setuptools import setup;"
            "setup(name='floor', py_modules=[], cmdclass={'build_ext': build_ext}, ext_modules=[Extension('floor', "
            "['floor.pyx'], cython_directives={'language_level': 3})])"
        )
        command = [sys.executable, "-c", code, "-q", "build_ext", "--inplace"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBuildError(f"the floor cannot be built: {done.stderr.strip().splitlines()[-1:]}")
        # Renamed last, so that two benchmarks at once never see half a file.
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        partial.write_bytes(next(work.glob("floor*.so")).read_bytes())
        partial.rename(target)
