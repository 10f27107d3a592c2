"""Modules that are looked for where they are needed: optional ones, and those that deciding can do without."""

from __future__ import annotations

import importlib
from types import ModuleType


def optional(module: str) -> ModuleType | None:
    """Return a module, or None where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def later(module: str) -> ModuleType:
    """Return a module of this package that costs too much to be imported by whoever only decides."""
    return importlib.import_module(module)


def needed(module: str, extra: str, what: str) -> ModuleType:
    """Return a module of this package that needs an extra.

    Raises:
        ImportError: the extra is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{what} needs the extra `{extra}` ({error}): pip install 'spyderresp[{extra}]'") from error
