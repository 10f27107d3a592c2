"""The schema for editors and strict reading agree on policies, whole and damaged, with scalars plain and quoted."""

from __future__ import annotations

import copy
import json
from typing import Any

import strategies as s
from hypothesis import given
from hypothesis import strategies as st
from schema_check import agree

from spyderresp.policies.vocabulary import ACTIONS, SELECTORS

KEYS = (
    *(
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "items",
        "name",
        "type",
        "uid",
        "enabled",
        "mode",
        "rulesets",
        "response",
    ),
    *("default", "actions", "severity", "priority", "impact", "matchFields", "matchFieldsExpressions", "matchLabels"),
    *("matchExpressions", "key", "operator", "values", "exe", "machineUID", "disable", "disableX", "disablex", "", "x"),
    *("fooSelector", *ACTIONS, *SELECTORS),
)


class Plain(str):
    """A scalar that stands in the text without quotes."""


VALUES: tuple[Any, ...] = (
    *(
        None,
        {},
        [],
        "",
        "x",
        7,
        True,
        -21,
        20,
        1.5,
        ["a"],
        [None],
        [[]],
        [{}],
        {"name": "a"},
        {"name": []},
        {"a": None},
    ),
    *(
        "In",
        "NotIn",
        "Exists",
        "high",
        "audit",
        "yes",
        "TRUE",
        "tRUE",
        "true\n",
        "trace",
        "cluster",
        "container",
        "List",
    ),
    *("20", "-21", "+19", "0019", "-0", "-020", " 1", "1\n"),
    *map(Plain, ("yes", "On", "FALSE", "~", "null", "007", "1_000", "12:30", "2024-01-01", "1.10", "+5", "-20", "19")),
    *map(Plain, ("20", "0x1F", "trace", ".inf", ".nan", "!!str 5", "!!int 5")),
)


def written(value: Any) -> str:
    """Return YAML in flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return value if isinstance(value, Plain) else json.dumps(value)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every holder and key, or index, within a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((value, key), *places(item))]


def damage(data: st.DataObject, document: Any) -> None:
    found = places(document)
    holder, key = data.draw(st.sampled_from(found))
    change = data.draw(st.sampled_from(("delete", "replace", "move", "rename", "add")))
    value = copy.deepcopy(data.draw(st.sampled_from(VALUES)))
    if change == "replace":
        holder[key] = value
    elif change == "move":
        source, at = data.draw(st.sampled_from(found))
        holder[key] = copy.deepcopy(source[at])
    elif change == "delete":
        del holder[key]
    elif isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]) if change == "rename" else value)
    else:
        holder[data.draw(st.sampled_from(KEYS))] = value if change == "add" else holder.pop(key)


wrapped = st.sampled_from((lambda p: p, lambda p: p, lambda p: [p], lambda p: {"apiVersion": "v1", "items": [p]}))


@given(s.policies(s.uids), wrapped)
def test_agrees_on_policies(document: dict[str, Any], wrap: Any) -> None:
    assert agree(written(wrap(document)))


@given(s.policies(s.uids), wrapped, st.integers(1, 3), st.data())
def test_agrees_on_damaged_policies(document: dict[str, Any], wrap: Any, times: int, data: st.DataObject) -> None:
    root = wrap(copy.deepcopy(document))
    for _ in range(times):
        if places(root):
            damage(data, root)
    agree(written(root))
