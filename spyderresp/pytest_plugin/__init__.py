"""The plugin for pytest: collects policy tests, which docs/TESTING.md describes, each of them an item.

pytest loads it wherever this package is installed: with it comes what `import spyderresp` brings (a tenth of a second),
and nothing of policy tests before there is one.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

_SUFFIXES: Final = (".yaml", ".yml")
_ENDINGS: Final = tuple(f".response-test{suffix}" for suffix in _SUFFIXES)
# What any policy test has somewhere: its kind, or its apiVersion where the kind is misspelt.
_MARKS: Final = (b"ResponseTest", b"spyderresp/v1")


def pytest_collect_file(file_path: Path, parent: Any) -> Any:
    """Return a collector for ``*.response-test.yaml`` and ``test_*.yaml``, where these hold policy tests."""
    name = file_path.name
    if not name.endswith(_ENDINGS) and not (name.startswith("test_") and name.endswith(_SUFFIXES)):
        return None
    try:
        data = file_path.read_bytes()
    except OSError:
        return None
    if not any(mark in data for mark in _MARKS):
        return None
    return importlib.import_module("spyderresp.pytest_plugin.items").collector(file_path, parent)
