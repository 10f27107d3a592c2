"""Builds the native modules. Everything else about the package stands in pyproject.toml."""

import os
from pathlib import Path

# setuptools first: Cython takes the build classes from it where it is imported already.
from setuptools import setup

# isort: split
from Cython.Distutils import build_ext
from Cython.Distutils.extension import Extension

DIRECTIVES = {
    "language_level": 3,
    # Without these two, mypy.stubtest finds members in the modules that no stub should name.
    "auto_pickle": False,
    "autotestdict": False,
}


class BuildModules(build_ext):
    """Builds as many modules at once as there are processors, unless the command line gives another number."""

    def finalize_options(self):
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()


setup(
    cmdclass={"build_ext": BuildModules},
    ext_modules=[
        Extension(".".join(path.with_suffix("").parts), [str(path)], cython_directives=DIRECTIVES)
        for path in sorted(Path("spyderresp").rglob("*.pyx"))
    ],
)
