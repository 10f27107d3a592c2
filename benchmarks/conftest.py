"""What every benchmark shares: the switch for the largest sets."""

from __future__ import annotations

from typing import Any

import pytest

_LARGE = 100_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--large", action="store_true", help=f"also run the benchmarks of {_LARGE:,} policies")


def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    if config.getoption("--large"):
        return
    skip = pytest.mark.skip(reason="--large runs it")
    for item in items:
        if getattr(item, "callspec", None) is not None and item.callspec.params.get("size") == _LARGE:
            item.add_marker(skip)
