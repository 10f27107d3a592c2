"""The public names: listed, sorted, documented."""

from __future__ import annotations

import inspect

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
        if inspect.isclass(value) and not value.__module__.startswith("spyderresp._native"):
            assert value.__doc__, name
            for member, held in vars(value).items():
                if not member.startswith("_") and (inspect.isfunction(held) or isinstance(held, property)):
                    assert held.__doc__, f"{name}.{member}"
        elif inspect.isfunction(value):
            assert value.__doc__, name
