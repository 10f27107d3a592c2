"""A JSON decoder that takes from an event what a policy set names, and skips the rest (extra: ``json``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from spyderresp.policies.vocabulary import FIELDS, SCOPES

#: Keys of the event, of each scope, of each scope's labels, to where their values go.
Wanted = tuple[dict[str, tuple[int, int]], ...]
#: A decoder, and the classes of what it makes, in the order of what is wanted; None for dicts.
Decoder = tuple[Callable[[bytes | str], Any], tuple[type | None, ...]]

#: Label keys of one scope that get a slot each: the decoder compares a key with one after the other.
_MOST_SLOTS: Final = 64
_LABELS: Final = "labels"


def narrow_decoder(wanted: Wanted) -> Decoder | None:
    """Return a decoder of what is wanted, or None where msgspec is not installed."""
    try:
        import msgspec
    except ImportError:
        return None

    def struct(name: str, keys: dict[str, Any], inner: dict[str, Any]) -> Any:
        """Make a class with a slot for each key; absent and null are one."""
        # The decoder looks for a key behind the one before it, so slots stand as events have them.
        usual = FIELDS.get(name, ())
        ordered = sorted(keys, key=lambda key: usual.index(key) if key in usual else len(usual))
        renamed = {f"f{place}": key for place, key in enumerate(ordered)}
        fields = [(field, (inner[key] | None) if key in inner else Any, None) for field, key in renamed.items()]
        # JSON makes no cycles, so the garbage collector need not look.
        return msgspec.defstruct(name, fields, rename=renamed, gc=False)

    of_scopes = dict(zip(SCOPES, wanted[1 : 1 + len(SCOPES)], strict=True))
    of_labels = dict(zip(SCOPES, wanted[1 + len(SCOPES) :], strict=True))
    labels = {
        scope: struct(f"{scope}_labels", keys, {}) if keys and _slotted(keys) else None
        for scope, keys in of_labels.items()
    }
    scopes = {
        scope: struct(scope, keys, {_LABELS: labels[scope] or dict[str, Any]}) for scope, keys in of_scopes.items()
    }
    event = struct("event", wanted[0], scopes)
    decoder = msgspec.json.Decoder(event)
    return decoder.decode, (event, *scopes.values(), *labels.values())


def _slotted(keys: dict[str, Any]) -> bool:
    return len(keys) <= _MOST_SLOTS and all(
        key.isascii() and key.isprintable() and not {'"', "\\"} & set(key) for key in keys
    )
