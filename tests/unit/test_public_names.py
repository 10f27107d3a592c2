"""The public names: listed, sorted, documented."""

from __future__ import annotations

import ast
import inspect
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import spyderresp


def test_names_are_listed_and_sorted() -> None:
    public = {
        name
        for name, value in vars(spyderresp).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert public | {"__version__"} == set(spyderresp.__all__)
    assert sorted(spyderresp.__all__) == spyderresp.__all__


def test_python_names_are_documented() -> None:
    for name in spyderresp.__all__:
        value = getattr(spyderresp, name)
        # The native ones are documented in their stubs.
        if inspect.isclass(value) and not value.__module__.startswith("spyderresp._native"):
            assert own_text(value), name
            for member, held in vars(value).items():
                function = held.__func__ if isinstance(held, (classmethod, staticmethod)) else held
                if not member.startswith("_") and (
                    inspect.isfunction(function) or isinstance(held, (property, cached_property))
                ):
                    assert own_text(function), f"{name}.{member}"
        elif inspect.isfunction(value):
            assert own_text(value), name
    assert spyderresp.__doc__


def own_text(value: object) -> str:
    """Return the docstring; empty where a dataclass or tuple made it up from the signature."""
    text = inspect.getdoc(value) or ""
    name = getattr(value, "__name__", "")
    return "" if name and text.startswith(f"{name}(") else text


def test_native_names_are_documented_in_their_stubs() -> None:
    """Every method and property of a public native class has a text in the stub beside it."""
    for name in spyderresp.__all__:
        value = getattr(spyderresp, name)
        if not inspect.isclass(value) or not value.__module__.startswith("spyderresp._native"):
            continue
        stub = Path(spyderresp.__file__).parent / "_native" / f"{value.__module__.rpartition('.')[2]}.pyi"
        (tree,) = (
            node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ClassDef) and node.name == name
        )
        assert ast.get_docstring(tree), name
        public = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}
        for member, node in public.items():
            assert ast.get_docstring(node), f"{name}.{member}"
        inherited = set(dir(Sequence))
        members = {member for member in vars(value) if not member.startswith("_")}
        assert members - inherited == set(public) - inherited, name


def test_without_native_modules_the_import_says_how_to_build(tmp_path: Path) -> None:
    source = Path(spyderresp.__file__).parent
    shutil.copytree(source, tmp_path / "spyderresp", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import spyderresp", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: spyderresp's native modules are not built")
    assert "pip install" in last
