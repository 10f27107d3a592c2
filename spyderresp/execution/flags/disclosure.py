"""The fields of an event that may leave this host: in flags, in the journal, over webhooks.

This is an allow-list: a field that a detector adds to its events does not leave until a user discloses its path.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.execution.flags.redaction import CUT, MASK, MAX_TEXT, Redaction, clean, scalar

_TOP: Final = ("id", "time", "policy_uid", "policy_name")
# The normal form of an event (docs/POLICY.md, section 2): all of its scopes and fields.
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "cluster": ("name", "uid"),
    "machine": ("hostname", "uid", "sourceName"),
    "namespace": ("name",),
    "pod": ("name", "uid", "kuid"),
    "container": ("image", "imageID", "containerName", "containerID"),
    "service": ("name", "cgroup"),
    "process": ("name", "exe", "euser", "pid", "ppid", "uid", "start_ticks", "boot_id", "start_time"),
}
_LABELLED: Final = frozenset({"namespace", "pod"})
_MAX_LABELS: Final = 64
# Kubernetes allows keys of 317 characters and values of 63.
_MAX_LABEL_CHARS: Final = 320
# Limits for the value of one disclosed path: items in one list or mapping, levels, values, characters read.
_MAX_ITEMS: Final = 512
_MAX_DEPTH: Final = 8
_MAX_VALUES: Final = 4_096
_MAX_CHARS: Final = 65_536


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Fields of the event that may leave too, and what to mask in them.

    ::

        Disclosure(paths=("process.args",), words=("corp_pat_*",))

    Attributes:
        paths: paths in the event, such as ``process.args`` or ``process.environ``. A mapping or list leaves with
            everything in it.
        names: globs for names of options, variables and keys whose values are masked. Common names of secrets, such as
            ``password``, are always masked.
        words: globs for words that are masked everywhere.

    Raises:
        TypeError: an attribute is a single string, or holds something that is not a string.
    """

    paths: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("paths", "names", "words"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                raise TypeError(f"`{name}` must be a sequence of strings")
            object.__setattr__(self, name, tuple(value))


_NO_DISCLOSURE: Final = Disclosure()


def allowed(event: Mapping[str, Any] | None, disclosure: Disclosure | None = None) -> dict[str, Any] | None:
    """Return the fields of an event that may leave, as JSON data of bounded size; None without an event.

    Args:
        event: the event, in the normal form.
        disclosure: further fields that may leave; in the result they are under ``disclosed``, by path. None: none.
    """
    if event is None:
        return None
    disclosure = disclosure or _NO_DISCLOSURE
    redaction = _redaction(disclosure.names, disclosure.words)
    kept: dict[str, Any] = {name: value for name in _TOP if (value := scalar(event.get(name))) is not None}
    for scope, names in _FIELDS.items():
        node = event.get(scope)
        if not isinstance(node, Mapping):
            continue
        fields: dict[str, Any] = {name: value for name in names if (value := scalar(node.get(name))) is not None}
        if scope in _LABELLED and (labels := _labels(node.get("labels"), redaction)):
            fields["labels"] = labels
        if fields:
            kept[scope] = fields
    disclosed = {
        path: redacted(value, redaction, path.rpartition(".")[2])
        for path in disclosure.paths
        if (value := _value_at(event, path)) is not None
    }
    if disclosed:
        kept["disclosed"] = disclosed
    return kept


@functools.lru_cache(maxsize=16)
def _redaction(names: tuple[str, ...], words: tuple[str, ...]) -> Redaction:
    return Redaction(names, words)


def _labels(labels: Any, redaction: Redaction) -> dict[str, str]:
    if not isinstance(labels, Mapping):
        return {}
    kept: dict[str, str] = {}
    for key, value in labels.items():
        if len(kept) == _MAX_LABELS:
            break
        if isinstance(key, str) and isinstance(value, str):
            # Mask secrets in the value, but not by the key: `app.kubernetes.io/session` does not name a secret.
            kept[clean(key, _MAX_LABEL_CHARS)] = clean(redaction.text(value[:MAX_TEXT]), _MAX_LABEL_CHARS)
    return kept


def _value_at(event: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path, or None. At each level, a key equal to the rest of the path is used first."""
    node: Any = event
    rest = path
    while isinstance(node, Mapping):
        if rest in node:
            return node[rest]
        name, dot, rest = rest.partition(".")
        if not dot:
            return None
        node = node.get(name)
    return None


def redacted(value: Any, redaction: Redaction, name: str = "") -> Any:
    """Return a copy of JSON data, of bounded size, with secrets masked. Values that are not JSON become None.

    If ``name`` is the name of a secret, the whole value is masked.
    """
    return _Copier(redaction).copy(value, name, _MAX_DEPTH)


class _Copier:
    """Copies one value, and counts values and characters against the limits."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._values_left = _MAX_VALUES
        self._chars_left = _MAX_CHARS

    def copy(self, value: Any, name: str, depth: int) -> Any:
        self._values_left -= 1
        if value is None or self._values_left < 0 or not depth:
            return None
        if name and self._redaction.names_secret(name):
            return MASK
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, (list, tuple)):
            items = value[:_MAX_ITEMS]
            if all(isinstance(item, str) for item in items):
                self._values_left -= len(items)
                return [clean(word) for word in self._redaction.words([self._read(item) for item in items])]
            return [self.copy(item, "", depth - 1) for item in items]
        return scalar(value)

    def _read(self, text: str) -> str:
        """Return the part of a text that is searched. It is longer than what is kept, so that no secret is cut."""
        read = text[: min(self._chars_left, 4 * MAX_TEXT)]
        self._chars_left -= len(read)
        return read if len(read) == len(text) else read + CUT

    def _text(self, text: str) -> str:
        return clean(self._redaction.text(self._read(text)))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        # Kubernetes writes variables as `{name: DB_PASSWORD, value: hunter2}`.
        variable = next((value[key] for key in ("name", "key") if isinstance(value.get(key), str)), "")
        copied: dict[str, Any] = {}
        for key, item in value.items():
            if len(copied) == _MAX_ITEMS or self._values_left < 0:
                break
            if isinstance(key, str):
                copied[self._text(key)] = self.copy(item, variable if key == "value" and variable else key, depth - 1)
        return copied
