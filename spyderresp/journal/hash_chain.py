"""Entries, and the hash chain that links them.

The digest of an entry is SHA-256 over the digest of the entry before it and its own content. An entry cannot be
changed, moved or removed without a change of every digest that follows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

#: ``start``: a process opened the journal; ``clock``: the wall clock jumped; ``policies``: a policy set was loaded;
#: ``intent``: a step is about to be tried; ``outcome``: its outcome; ``settled``: the outcome of a step that was not
#: begun, such as a refused one; ``delivery``: a sink took flags; ``dead_letter``: a sink refused a flag for good;
#: ``lost``: how many outcomes of steps that were not begun were dropped while the journal could not be written;
#: ``stop``: the process closed the journal.
Kind = Literal["start", "clock", "policies", "intent", "outcome", "settled", "delivery", "dead_letter", "lost", "stop"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: Canonical JSON: equal values give equal text.
canonical: Final[Callable[[Any], str]] = json.JSONEncoder(
    ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=repr
).encode


def digest(before: str, seq: int, time: float, kind: str, key: str | None, body: str) -> str:
    """Return the digest of an entry; ``before`` is that of the entry before it, or ``GENESIS`` for the first."""
    return hashlib.sha256((before + canonical([seq, time, kind, key, body])).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the file has it, not verified.

    Attributes:
        seq: its number.
        time: epoch seconds.
        kind: one of ``KINDS``.
        key: the key of its step; None: it has no step.
        text: its body, as JSON.
        hash: its digest.
    """

    seq: int
    time: float
    kind: str
    key: str | None
    text: str
    hash: str

    @property
    def body(self) -> dict[str, Any]:
        """The body as JSON data.

        Raises:
            ValueError: the body was changed, and is not a JSON object any more.
        """
        data = json.loads(self.text)
        if not isinstance(data, dict):
            raise ValueError("the body is not a JSON object")
        return data

    def follows(self, before: str) -> bool:
        """Return whether its digest follows from its content and ``before``, the digest of the entry before it."""
        try:
            return self.hash == digest(before, self.seq, self.time, self.kind, self.key, self.text)
        except (TypeError, ValueError):
            return False
