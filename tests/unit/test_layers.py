"""Imports run in one direction: a layer imports only from layers above it in ``LAYERS``."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import spyderresp

ROOT = Path(spyderresp.__file__).parent
# Packages of one layer do not import each other.
LAYERS = (
    {"errors", "_gil"},
    {"policies"},
    {"events"},
    {"decision"},
    {"execution"},
    {"guards", "executors", "journal"},
    {"authoring", "distributed", "service"},
    {"__init__"},
    {"cli"},
    {"pytest_plugin", "__main__"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def package(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield module, name and line of every import from this package."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "spyderresp":
            for alias in node.names:
                yield node.module or "", alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("spyderresp."):
                    yield alias.name, "", node.lineno


def test_every_package_has_a_layer() -> None:
    assert {package(path) for path in FILES} == set(LEVEL) - {"_gil"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_to_lower_layers(path: Path) -> None:
    own = package(path)
    for module, name, line in imported(path):
        parts = [*module.split("."), name][1:]
        other = parts[0] if parts[0] in LEVEL else "__init__"
        where = f"{path.relative_to(ROOT)}:{line} imports {module}.{name}"
        assert other == own or LEVEL[other] < LEVEL[own], where
        # The names that the package's face exports come from compiled modules.
        private = [part for part in parts if part.startswith("_") and not part.startswith("__")]
        assert other in {own, "__init__"} or own == "__init__" or not private, f"{where}, which is private"


def test_no_module_imports_itself_by_way_of_others() -> None:
    names = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__") for path in FILES}
    graph: dict[str, set[str]] = {}
    for path in FILES:
        me = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        targets = {f"{module}.{name}" if f"{module}.{name}" in names else module for module, name, _ in imported(path)}
        graph[me] = targets & names - {me}
    # Raises CycleError, which names the cycle.
    assert set(graphlib.TopologicalSorter(graph).static_order()) == names


def test_only_proofs_import_the_reference() -> None:
    """The specification must not be on the way to a plan: then it could not check the index."""
    users = {
        str(path.relative_to(ROOT))
        for path in FILES
        for module, name, _ in imported(path)
        if (module, name) == ("spyderresp.decision", "reference") or module == "spyderresp.decision.reference"
    }
    assert users == {"authoring/certify.py", "cli/certify.py"}


def test_only_the_yaml_reader_imports_yaml() -> None:
    users = {
        path.name
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(alias.name == "yaml" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "yaml")
    }
    assert users == {"yaml_reader.py"}


def test_no_module_holds_state_that_changes() -> None:
    assert not [path for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.Global)]
