"""The fields of an event that may leave: in flags, in the journal, over webhooks.

An allow-list. What a detector adds to its events tomorrow stays here until somebody asks for it by its path.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.execution.flags.redaction import CUT, LONGEST, MASK, Redaction, clean, scalar

_TOP: Final = ("id", "time", "policy_uid", "policy_name")
#: The normal form of an event (docs/POLICY.md, section 2), whole: identities, and what policies select by.
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
_MOST_LABELS: Final = 64
# Kubernetes allows 317 characters of a key, 63 of a value.
_LONGEST_LABEL: Final = 320
# Of what is disclosed at one path: items of one list or mapping, nesting, values, characters that are looked at.
_MOST_ITEMS: Final = 512
_DEEPEST: Final = 8
_MOST_VALUES: Final = 4_096
_MOST_READ: Final = 65_536


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What may leave beside the allow-list, redacted.

    Attributes:
        paths: paths in the event, such as ``process.args`` or ``process.environ``; a mapping or a list is meant whole.
        names: globs for names (options, variables, keys) whose values are masked, beside those known as secret.
        words: globs for words that are masked wherever they stand, such as ``corp_pat_*``.

    Raises:
        TypeError: one of them is a single text, or holds what is none.
    """

    paths: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("paths", "names", "words"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                raise TypeError(f"`{name}` is a sequence of texts")
            object.__setattr__(self, name, tuple(value))


_NOTHING_MORE: Final = Disclosure()


def allowed(event: Mapping[str, Any] | None, disclosure: Disclosure | None = None) -> dict[str, Any] | None:
    """Return the fields of an event that may leave, as JSON data of bounded size; None where there is no event.

    Args:
        event: in the normal form.
        disclosure: what else may leave: it stands under ``disclosed``, by path. Default: nothing.
    """
    if event is None:
        return None
    asked = disclosure or _NOTHING_MORE
    redaction = _redaction(asked.names, asked.words)
    kept: dict[str, Any] = {name: value for name in _TOP if (value := scalar(event.get(name))) is not None}
    for scope, names in _FIELDS.items():
        held = event.get(scope)
        if not isinstance(held, Mapping):
            continue
        fields: dict[str, Any] = {name: value for name in names if (value := scalar(held.get(name))) is not None}
        if scope in _LABELLED and (labels := _labels(held.get("labels"), redaction)):
            fields["labels"] = labels
        if fields:
            kept[scope] = fields
    disclosed = {}
    for path in asked.paths:
        found = _at(event, path)
        if found is not None:
            disclosed[path] = redacted(found, redaction, path.rpartition(".")[2])
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
        if len(kept) == _MOST_LABELS:
            break
        if isinstance(key, str) and isinstance(value, str):
            # By its shape only: `app.kubernetes.io/session` names no secret, and a label of that name selects.
            kept[clean(key, _LONGEST_LABEL)] = clean(redaction.text(value[:LONGEST]), _LONGEST_LABEL)
    return kept


def _at(event: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a path, or None. A key with dots in it is found where the rest of the path is its name."""
    held: Any = event
    rest = path
    while isinstance(held, Mapping):
        if rest in held:
            return held[rest]
        name, dot, rest = rest.partition(".")
        if not dot:
            return None
        held = held.get(name)
    return None


def redacted(value: Any, redaction: Redaction, name: str = "") -> Any:
    """Return JSON data with its secrets masked, of bounded size; what is no JSON is left out.

    Args:
        value: any data.
        redaction: what is masked.
        name: what the value is called; the value of a secret name is masked whole.
    """
    return _Copying(redaction).copy(value, name, _DEEPEST)


class _Copying:
    """One copy of one value: counts what it copies."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._left = _MOST_VALUES
        self._unread = _MOST_READ

    def copy(self, value: Any, name: str, depth: int) -> Any:
        self._left -= 1
        if value is None or self._left < 0 or not depth:
            return None
        if name and self._redaction.names_secret(name):
            return MASK
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, (list, tuple)):
            items = value[:_MOST_ITEMS]
            if all(isinstance(item, str) for item in items):
                self._left -= len(items)
                return [clean(word) for word in self._redaction.words([self._read(item) for item in items])]
            return [self.copy(item, "", depth - 1) for item in items]
        return scalar(value)

    def _read(self, text: str) -> str:
        """Return what is looked at of a text, which is more than what leaves: half a secret is not known as one."""
        read = text[: min(self._unread, 4 * LONGEST)]
        self._unread -= len(read)
        return read if len(read) == len(text) else read + CUT

    def _text(self, text: str) -> str:
        return clean(self._redaction.text(self._read(text)))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        # `{name: DB_PASSWORD, value: hunter2}`, as Kubernetes writes variables.
        label = next((value[key] for key in ("name", "key") if isinstance(value.get(key), str)), "")
        copied: dict[str, Any] = {}
        for key, item in value.items():
            if len(copied) == _MOST_ITEMS or self._left < 0:
                break
            if isinstance(key, str):
                copied[self._text(key)] = self.copy(item, label if key == "value" and label else key, depth - 1)
        return copied
