"""The public names: listed, sorted, documented."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from type_checks import mypy

import spyderresp


def test_names_are_listed_and_sorted() -> None:
    assert all(hasattr(spyderresp, name) for name in spyderresp.__all__)
    public = {
        name
        for name, value in vars(spyderresp).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert public | {"__version__"} == set(spyderresp.__all__)
    assert sorted(spyderresp.__all__) == spyderresp.__all__


def test_names_that_deciding_does_not_need_come_when_asked_for() -> None:
    program = """
import sys, spyderresp
heavy = {"yaml", "dataclasses", "inspect", "asyncio", "sqlite3", "msgspec", "pyarrow", "spyderresp.policies.loader"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert set(spyderresp.__all__) <= set(dir(spyderresp))
engine = spyderresp.Engine(spyderresp.PolicySet(()))
assert not engine.evaluate({}) and not engine.evaluate_many([{}])[0]
assert not heavy - {"msgspec"} & set(sys.modules), heavy & set(sys.modules)
import spyderresp.execution.execute, spyderresp.execution.reconciliation
for name in spyderresp.__all__:
    assert getattr(spyderresp, name) is getattr(spyderresp, name)
assert callable(spyderresp.execute) and callable(spyderresp.reconcile) and callable(spyderresp.load)
try:
    spyderresp.laod
except AttributeError as error:
    assert str(error) == "module 'spyderresp' has no attribute 'laod'"
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_types_of_names_that_come_late_are_exact(tmp_path: Path) -> None:
    lines = [
        "import spyderresp",
        "plan: spyderresp.ActionPlan = spyderresp.Engine(spyderresp.load('x')).evaluate({})",
        "said: spyderresp.Explanation = spyderresp.Engine(spyderresp.loads('x')).explain({})",
        "wrong: int = spyderresp.load('x')",
        "spyderresp.laod",
    ]
    (tmp_path / "use.py").write_text("\n".join(lines))
    _, out = mypy(tmp_path / "use.py", cache=tmp_path / "cache")
    errors = [line.partition("use.py:")[2].partition(":")[0] for line in out.splitlines() if "use.py:" in line]
    assert set(errors) == {"4", "5"}, out


PACKAGES = ["spyderresp", "spyderresp.distributed", "spyderresp.executors", "spyderresp.guards", "spyderresp.journal"]


def public_names(package: str) -> dict[str, Any]:
    """Return what a public package exports, and the public members of its classes that this project defines."""
    module = importlib.import_module(package)
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == package]
    names = getattr(module, "__all__", [name for name in own if not name.startswith("_")])
    exported = {f"{package}.{name}": getattr(module, name) for name in names}
    members = {
        f"{name}.{member}": vars(owner)[member]
        for name, value in exported.items()
        if inspect.isclass(value)
        for owner in value.__mro__
        if owner.__module__.startswith("spyderresp")
        for member in vars(owner)
        # The members of a sequence are Python's own.
        if not member.startswith("_") and member not in dir(Sequence)
    }
    return exported | members


def docstring(value: object) -> str:
    """Return the docstring; empty where a dataclass or tuple made it up from the signature."""
    text = inspect.getdoc(value) or ""
    name = getattr(value, "__name__", "")
    return "" if name and text.startswith(f"{name}(") else text


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_documented(package: str) -> None:
    assert importlib.import_module(package).__doc__
    names = public_names(package)
    assert names
    for name, value in names.items():
        held = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if inspect.isclass(held) or inspect.isroutine(held) or isinstance(held, (property, cached_property)):
            assert docstring(held), name
        elif inspect.isgetsetdescriptor(held):
            # Most compiled attributes have no docstring of their own: that of the class names them.
            owner, _, member = name.rpartition(".")
            assert docstring(held) or f"    {member}: " in docstring(names[owner]), name


def test_raises_sections_name_public_exceptions() -> None:
    names = [names for package in PACKAGES for names in public_names(package).items()]
    values = [*vars(builtins).values(), *(value for _, value in names)]
    exceptions = {value.__name__ for value in values if inspect.isclass(value) and issubclass(value, BaseException)}
    count = 0
    for name, value in names:
        section = re.search(r"^Raises:\n((?:    .*\n?|\n)+)", docstring(value), re.MULTILINE)
        heads = re.findall(r"^    (\S.*?):", section[1], re.MULTILINE) if section else []
        raised = [exception for head in heads for exception in head.split(", ")]
        assert set(raised) <= exceptions, name
        count += len(raised)
    assert count > 50


def is_native(value: type) -> bool:
    """Return whether a compiled module defines this class; its name starts with an underscore."""
    return value.__module__.rpartition(".")[2].startswith("_")


@pytest.mark.parametrize("name", ["executors", "guards", "journal"])
def test_public_packages_export_what_they_list(name: str) -> None:
    package = importlib.import_module(f"spyderresp.{name}")
    assert sorted(set(package.__all__)) == sorted(package.__all__)
    assert all(getattr(package, member) is not None for member in package.__all__)


def test_stubs_name_every_member() -> None:
    for name in spyderresp.__all__:
        value = getattr(spyderresp, name)
        if not inspect.isclass(value) or not is_native(value):
            continue
        stub = Path(sys.modules[value.__module__].__file__ or "").parent / f"{value.__module__.rpartition('.')[2]}.pyi"
        (tree,) = (
            node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ClassDef) and node.name == name
        )
        public = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}
        inherited = set(dir(Sequence))
        members = {member for member in vars(value) if not member.startswith("_")}
        assert members - inherited == public - inherited, name


def test_without_native_modules_the_import_says_how_to_build(tmp_path: Path) -> None:
    source = Path(spyderresp.__file__).parent
    shutil.copytree(source, tmp_path / "spyderresp", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import spyderresp", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: spyderresp's native modules are not built")
    assert "pip install" in last


def test_in_an_unbuilt_source_tree_the_import_says_so(tmp_path: Path) -> None:
    source = Path(spyderresp.__file__).parent
    shutil.copytree(source, tmp_path / "spyderresp", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (tmp_path / "setup.py").touch()
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import spyderresp", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert f"imports the source tree in {tmp_path}" in done.stderr.splitlines()[-1]


def test_results_of_batches_have_a_public_name() -> None:
    pytest.importorskip("pyarrow")
    assert isinstance(spyderresp.Engine(spyderresp.PolicySet(())).evaluate_batch(_table()), spyderresp.BatchResult)


def _table() -> Any:
    import pyarrow as pa

    return pa.table({"id": ["e1"]})
