"""Builds the native modules. Everything else about the package stands in pyproject.toml."""

from pathlib import Path

from Cython.Distutils import build_ext
from Cython.Distutils.extension import Extension
from setuptools import setup

DIRECTIVES = {
    "language_level": 3,
    # Without these two, mypy.stubtest finds members in the modules that no stub should name.
    "auto_pickle": False,
    "autotestdict": False,
}
MODULES = sorted(path.stem for path in Path("spyderresp/_native").glob("*.pyx"))

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
