"""Builds and imports the benchmarks' own native modules, outside the package: no wheel holds them."""

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

_SOURCES = Path(__file__).parent
_SETUP = """
from Cython.Distutils import build_ext
from Cython.Distutils.extension import Extension
from setuptools import setup

extension = Extension("{name}", ["{name}.pyx"], cython_directives={{"language_level": 3}})
setup(name="{name}", py_modules=[], cmdclass={{"build_ext": build_ext}}, ext_modules=[extension])
"""


class CannotBuildError(Exception):
    """There is no compiler, no Cython, or no header that is needed."""


def native_module(name: str) -> ModuleType:
    """Return a module of this directory, compiled where its source or the interpreter changed since the last time.

    It is kept under ``$XDG_CACHE_HOME/spyderresp-benchmarks`` (``~/.cache`` where that is not set).

    Raises:
        CannotBuildError: it cannot be compiled; the message says why.
    """
    source = (_SOURCES / f"{name}.pyx").read_bytes()
    tag = sysconfig.get_config_var("EXT_SUFFIX")
    digest = hashlib.sha256(source + tag.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spyderresp-benchmarks" / digest
    built = cache / f"{name}{tag}"
    if not built.exists():
        _build(name, source, built)
    spec = importlib.util.spec_from_file_location(name, built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build(name: str, source: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        (work / f"{name}.pyx").write_bytes(source)
        # A process of its own: setuptools changes the interpreter that it runs in.
        code = _SETUP.format(name=name)
        command = [sys.executable, "-c", code, "-q", "build_ext", "--inplace"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBuildError(
                f"{name} cannot be built: {(done.stderr.strip().splitlines() or [done.returncode])[-1]}"
            )
        # Renamed last, so that two benchmarks at once never see half a file.
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        partial.write_bytes(next(work.glob(f"{name}*.so")).read_bytes())
        partial.rename(target)
