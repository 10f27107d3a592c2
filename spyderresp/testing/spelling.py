"""Keys of events written in a test that are nearly those of the normal form: the event would lack what is meant.

Other keys are carried along, as everywhere. But a test that expects no action of a misspelt event holds for no reason.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final

from spyderresp.adapters import BUILT_IN
from spyderresp.findings import quoted
from spyderresp.service.reading import Node, Reader

_EVENT: Final = "the event"
_KEYS: Final[dict[str, tuple[str, ...]]] = {
    _EVENT: (
        "id",
        "time",
        "policy_uid",
        "policy_name",
        "cluster",
        "machine",
        "namespace",
        "pod",
        "container",
        "service",
        "process",
    ),
    "cluster": ("name", "uid"),
    "machine": ("hostname", "uid", "sourceName"),
    "namespace": ("name", "labels"),
    "pod": ("name", "uid", "kuid", "labels"),
    "container": ("image", "imageID", "containerName", "containerID"),
    "service": ("name", "cgroup"),
    "process": ("name", "exe", "euser", "pid", "ppid", "uid", "start_ticks", "boot_id", "start_time"),
}
_NEAR: Final = 0.75
#: Short words are near too many others: `exec`, `euid`, `tid`.
_SHORT: Final = 3


def is_normal(record: Any, form: str | None) -> bool:
    """Tell whether a record is read as the normal form."""
    return isinstance(record, Mapping) and (BUILT_IN.recognise(record).name if form is None else form) == "normal"


def spelt(node: Node, reader: Reader, where: str = _EVENT) -> None:
    """Report keys that are nearly those of the normal form, in a mapping and in its objects."""
    if not isinstance(node.value, dict):
        return
    valid = _KEYS[where]
    for key, (name, value) in node.value.items():
        if key in valid:
            if where == _EVENT and key in _KEYS:
                spelt(Node(*value), reader, key)
            continue
        near = _nearest(key, [word for word in valid if word not in node.value])
        if near is not None:
            place = where if where == _EVENT else f"`{where}` of the event"
            reader.wrong("SR701", Node(*name), f"unknown key {quoted(key)} in {place}", f"did you mean `{near}`?")


def _nearest(key: str, valid: list[str]) -> str | None:
    folded = {word.lower(): word for word in valid}
    if key.lower() in folded:
        return folded[key.lower()]
    long = [word for word in folded if len(word) > _SHORT]
    found = difflib.get_close_matches(key[:100].lower(), long, n=1, cutoff=_NEAR)
    return folded[found[0]] if found else None
