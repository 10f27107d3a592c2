"""One exception tree: what the package raises derives from ``SpyderrespError``."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import spyderresp

# They need extras that not every machine has.
OPTIONAL = ("spyderresp.cli.replay_dask", "spyderresp.cli.replay_spark", "spyderresp.__main__")


def test_every_exception_derives_from_the_root() -> None:
    seen = set()
    for module in pkgutil.walk_packages(spyderresp.__path__, "spyderresp."):
        if module.name in OPTIONAL:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if (
                inspect.isclass(value)
                and issubclass(value, BaseException)
                and value.__module__.startswith("spyderresp")
            ):
                assert issubclass(value, spyderresp.SpyderrespError), value
                seen.add(value.__name__)
    assert {"PolicyError", "EventError", "JournalError", "DeliveryError", "CommandError"} <= seen


def test_errors_of_wrong_input_are_value_errors_too() -> None:
    assert issubclass(spyderresp.PolicyError, ValueError)
    assert issubclass(spyderresp.EventError, ValueError)
    assert not issubclass(spyderresp.SpyderrespError, ValueError)
