"""Dicts are read off their tables where this interpreter keeps them as its header says, and walked elsewhere."""

from __future__ import annotations

import platform
import sys
import sysconfig
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spyderresp.decision._event_reader import EventReader, entries

#: Where tables are looked at; elsewhere every dict is walked.
TABLES = (
    platform.python_implementation() == "CPython"
    and (3, 11) <= sys.version_info < (3, 14)
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)
KEYS = ("name", "uid", "labels", "é", "", "a" * 40)
SHAPE = (
    ("cluster", "machine", "namespace", "pod", "container", "service", "process"),
    ((0, "name", 0), (0, "uid", 0)),
)


class Held:
    """Its dict shares its keys with those of its kind."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def test_tables_are_looked_at_where_they_can_be() -> None:
    assert (entries({"a": 1}) is not None) is TABLES


@given(st.lists(st.tuples(st.sampled_from(("set", "set", "set", "drop", "clear", "copy")), st.sampled_from(KEYS))))
def test_entries_are_the_items(steps: list[tuple[str, str]]) -> None:
    mapping: dict[str, Any] = {}
    for number, (step, key) in enumerate(steps):
        if step == "set":
            mapping[key] = str(number)
        elif step == "drop":
            mapping.pop(key, None)
        elif step == "clear":
            mapping.clear()
        else:
            mapping = dict(mapping)
        if TABLES:
            assert entries(mapping) in (list(mapping.items()), None)
        reader = EventReader(*SHAPE)
        values, present, quick = reader.values({"cluster": mapping})
        assert (values, present) == reader.values({"cluster": mapping}, quick=False)[:2]
        assert quick


@pytest.mark.parametrize("count", [0, 1, 5, 6, 10, 11, 21, 22, 63, 64, 255, 256, 257, 700])
def test_tables_of_every_size(count: int) -> None:
    mapping = {f"key {number}": number for number in range(count)}
    assert not TABLES or entries(mapping) == list(mapping.items())
    for key in list(mapping)[::2]:
        del mapping[key]
    assert not TABLES or entries(mapping) == list(mapping.items())


@pytest.mark.parametrize("count", [254, 255, 256, 700])
@pytest.mark.parametrize("odd", [False, True])
def test_long_dicts_are_read_the_same(count: int, *, odd: bool) -> None:
    mapping: dict[Any, Any] = {f"key {number}": str(number) for number in range(count)}
    mapping |= {"name": "a", "labels": {f"key {number}": "x" for number in range(count)}, "uid": "u"}
    del mapping["key 3"]
    if odd:
        mapping[3] = "no text is equal to it"
    reader = EventReader(*SHAPE)
    for event in ({"cluster": mapping}, {"cluster": dict(mapping)}, {"cluster": {"uid": "v"}}, {"cluster": mapping}):
        values, present, quick = reader.values(event)
        assert (values, present) == reader.values(event, quick=False)[:2]
        if 3 in event["cluster"]:
            assert not quick
        elif TABLES:
            assert quick
        assert values[1] == event["cluster"]["uid"]


def test_other_tables_are_walked() -> None:
    shared, general = Held(name="a", uid="u").__dict__, {1: 2, "name": "a"}
    assert entries(general) is None
    assert entries(shared) in (None, list(shared.items()))
    values, _, quick = EventReader(*SHAPE).values({"cluster": shared})
    assert values[:2] == ("a", "u")
    assert quick
    values, _, quick = EventReader(*SHAPE).values({"cluster": general})
    assert values[:2] == ("a", None)
    assert not quick
