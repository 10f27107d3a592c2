"""The two ways of reading an event are one: whatever quick() takes, slow() reads alike."""

from __future__ import annotations

import json
from typing import Any

import spyderresp
from spyderresp.decision._event_reader import EventReader


def read(reader: EventReader, event: Any, *, quick: bool) -> Any:
    try:
        values, present, _ = reader.values(event, quick)
    except spyderresp.EventError as error:
        return str(error)
    return values, present


def test_what_decoders_make_is_read_the_quick_way() -> None:
    reader = EventReader(*SHAPE)
    event = {
        "id": "e",
        "time": 1.5,
        "cluster": {"name": "c", "uid": "u"},
        "namespace": {"name": "n", "labels": {"team": "t"}},
        "pod": {"labels": {"app": "a", "other": "o"}, "name": "p"},
        "process": {"pid": 1, "exe": "é"},
        "extra": [1, 2],
    }
    first, present, quick = reader.values(event)
    assert quick
    assert first[:3] == ("c", "n", "a")
    assert present == {"cluster", "namespace", "pod", "process"}
    for text in (json.dumps(event), json.dumps(dict(reversed(event.items())))):
        assert reader.values(json.loads(text)) == (first, present, True)


def test_a_namespace_whose_name_is_no_name_is_known_by_its_label() -> None:
    labels = {"kubernetes.io/metadata.name": "ns"}
    for attributes in ((), SHAPE[1][1:2]):
        reader = EventReader(SHAPE[0], attributes)
        for name in ([], {}, float("nan"), object(), None):
            event = {"namespace": {"name": name, "labels": labels}}
            assert read(reader, event, quick=True) == read(reader, event, quick=False)
    assert "ns" in EventReader(SHAPE[0], ()).values({"namespace": {"name": [], "labels": labels}})[0]


def test_what_may_run_code_is_read_the_slow_way() -> None:
    class Name:
        def __hash__(self) -> int:
            return hash("name")

        def __eq__(self, other: object) -> bool:
            return other == "name"

    class Subclass(str):
        __slots__ = ()

    reader = EventReader(*SHAPE)
    for event in (
        {"cluster": {Name(): "c"}},
        {"cluster": {Subclass("name"): "c"}},
        {"cluster": {"name": Subclass("c")}},
        {"cluster": {"name": "c"}, "id": ["x"]},
        {"cluster": {**{f"k{number}": 1 for number in range(300)}, Name(): "c"}},
        {"cluster": {**{f"k{number}": 1 for number in range(300)}, "name": Subclass("c")}},
    ):
        values, _, quick = reader.values(event)
        assert not quick
        assert values[0] == "c"


SHAPE = (
    ("cluster", "machine", "namespace", "pod", "container", "service", "process"),
    ((0, "name", 0), (2, "kubernetes.io/metadata.name", 2), (3, "app", 1)),
)
