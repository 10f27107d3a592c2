"""The package's imports form a ladder, read off the syntax trees of what is installed."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

import spyderresp

ROOT = Path(spyderresp.__file__).parent
# Each rung imports from rungs above it in this list only; modules of one rung do not import each other.
# A native module is a room of its own, as far as Python modules import it.
LADDER = (
    {"vocabulary", "version", "extras", "document", "_native", "policies", "decision"},
    {"policies._document"},
    {"source", "errors"},
    {"codes", "policies._model", "adapters", "event_json", "narrow"},
    {"policy"},
    {
        "yaml_text",
        "findings",
        "json_schema",
        "decision._globs",
        "decision._hash_tables",
        "decision._event_reader",
        "decision._plan",
        "decision._spec",
        "decision._index",
        "decision._batch",
        "decision._engine",
        "_native.plain",
        "_native.distinct",
        "_native.occurrences",
        "_native.marks",
        "_native.moments",
        "_native.kills",
        "_native.breaking",
        "reference",
    },
    {"policies._schema"},
    {"compiler", "arrow"},
    {"clock", "protection", "steps"},
    {"report", "records"},
    {"executors"},
    {"guards", "journal"},
    {"round"},
    {"execution"},
    {"reconciliation", "undo"},
    {"explain", "analysis"},
    {"loading", "certify"},
    {"linting"},
    {"engine"},
    {"bench", "service", "integrations", "comparison"},
    {"testing", "recorded", "replaying"},
    {"__init__"},
    {"cli"},
    {"pytest_plugin"},
    {"__main__"},
)
RUNG = {name: number for number, names in enumerate(LADDER) for name in names}
FILES = sorted(ROOT.rglob("*.py"))
PACKAGES_WITH_NATIVE = {"_native", "policies", "decision"}


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imported(tree: ast.AST) -> list[tuple[str, ast.stmt]]:
    """Return the rooms of this package that a module imports, and where."""
    rooms = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "spyderresp":
            inner = (node.module or "").split(".")[1:]
            for alias in node.names:
                path = [*inner, alias.name]
                rooms.append((".".join(path[: 2 if path[0] in PACKAGES_WITH_NATIVE else 1]), node))
        elif isinstance(node, ast.Import):
            rooms += [
                (name.split(".")[1], node) for name in (a.name for a in node.names) if name.startswith("spyderresp.")
            ]
    return rooms


def test_every_room_has_a_rung() -> None:
    native = {name for name in RUNG if name.split(".")[0] in PACKAGES_WITH_NATIVE and "." in name}
    assert {room(path) for path in FILES} == set(RUNG) - native
    stubs = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.rglob("*.pyi")}
    assert native <= stubs


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports(path: Path) -> None:
    tree = ast.parse(path.read_text())
    mine = room(path)
    for other, node in imported(tree):
        inside = other == mine and (ROOT / mine).is_dir()
        assert inside or RUNG[other] < RUNG[mine], f"{mine} imports {other} at line {node.lineno}"
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inner = [
        node for function in functions for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert not inner, "a function-level import"
    foreign = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert "yaml" not in foreign or path.name == "yaml_text.py"


def module(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Within a room too, where the rungs say nothing."""
    modules = {module(path): ast.parse(path.read_text()) for path in FILES}
    graph: dict[str, set[str]] = {}
    for name, tree in modules.items():
        graph[name] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} imports relatively at line {node.lineno}"
                # From a package its modules, or the names that it holds itself.
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    graph[name].add(inner if inner in modules else node.module or "")
            elif isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names}
    # raises CycleError, which names the cycle
    order = list(graphlib.TopologicalSorter({name: held & set(modules) for name, held in graph.items()}).static_order())
    assert set(order) == set(modules)


def test_nothing_on_the_way_to_a_plan_imports_the_oracle() -> None:
    importers = {
        room(path) for path in FILES for other, _ in imported(ast.parse(path.read_text())) if other == "reference"
    }
    assert importers == {"certify", "cli"}
    on_the_way = {room(path) for path in FILES} - {"certify", "cli"}
    for path in FILES:
        if room(path) in on_the_way:
            assert not {other for other, _ in imported(ast.parse(path.read_text()))} & {"certify", "reference"}, path
    users = {path.name for path in FILES if "spyderresp import reference" in path.read_text()}
    assert users == {"certify.py", "plans.py", "proof.py"}


def test_no_module_holds_state_that_changes() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.Global), path
