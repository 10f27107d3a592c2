"""Builds the native modules. Everything else about the package stands in pyproject.toml."""

from Cython.Distutils import build_ext
from Cython.Distutils.extension import Extension
from setuptools import setup

DIRECTIVES = {
    "language_level": 3,
    # Without these two, mypy.stubtest finds members in the modules that no stub should name.
    "auto_pickle": False,
    "autotestdict": False,
}
MODULES = (
    "text",
    "glob",
    "globset",
    "classes",
    "program",
    "reader",
    "plan",
    "arrange",
    "index",
    "decider",
    "columns",
    "rowtable",
    "batch",
    "lines",
    "texts",
    "tree",
    "json_reader",
    "json_writer",
    "yaml_builder",
    "policy",
    "digest",
    "checking",
    "selector_schema",
    "response_schema",
    "schema",
)

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
