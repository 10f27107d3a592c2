"""Builds the native modules. Everything else about the package stands in pyproject.toml."""

import os

from Cython.Distutils import build_ext
from setuptools import Extension, setup

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    # Without these two, mypy.stubtest finds members in the modules that no stub should name.
    "auto_pickle": False,
    "autotestdict": False,
}
# Native modules assert their invariants when built so; tests/native/README.md says how and when.
CHECKED = os.environ.get("SPYDERRESP_CHECKED_BUILD") == "1"
if CHECKED:
    DIRECTIVES |= {"boundscheck": True, "initializedcheck": True, "overflowcheck": True}

MODULES = ("glob",)

setup(
    cmdclass={"build_ext": build_ext},
    ext_modules=[
        Extension(
            f"spyderresp._native.{name}",
            [f"spyderresp/_native/{name}.pyx"],
            cython_directives=DIRECTIVES,
        )
        for name in MODULES
    ],
)
