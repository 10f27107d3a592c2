"""Entries, and the chain of digests through them.

An entry's digest is SHA-256 over that of the entry before and over its own content, so that none can be changed, moved
or taken out without changing all that follow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

#: ``start``: a process opened the journal; ``clock``: the wall clock jumped; ``policies``: a policy set was loaded;
#: ``intent``: a step is about to be tried; ``outcome``: what became of it; ``settled``: of one that never had to be
#: begun; ``delivery``: a sink took flags; ``dead_letter``: a sink will never take one; ``lost``: outcomes of steps that
#: were never begun could not be kept while the journal could not be written; ``stop``: it was closed.
Kind = Literal["start", "clock", "policies", "intent", "outcome", "settled", "delivery", "dead_letter", "lost", "stop"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: JSON of which there is one text for one value.
canonical: Final[Callable[[Any], str]] = json.JSONEncoder(
    ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=repr
).encode


def digest(before: str, seq: int, time: float, kind: str, key: str | None, body: str) -> str:
    """Return the digest of an entry.

    Args:
        before: that of the entry before, or ``GENESIS``.
        seq: its number, from 1 without gaps.
        time: epoch seconds, for people.
        kind: one of ``KINDS``.
        key: of the step that it is about, or None.
        body: canonical JSON.
    """
    return hashlib.sha256((before + canonical([seq, time, kind, key, body])).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it was read.

    Attributes:
        seq: its number.
        time: epoch seconds.
        kind: one of ``KINDS``, as far as nobody changed it.
        key: of the step that it is about, or None.
        text: the body's text.
        hash: its digest, as it stands there.
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
            ValueError: somebody changed it to something else.
        """
        data = json.loads(self.text)
        if not isinstance(data, dict):
            raise ValueError("the body is no JSON object")
        return data

    def follows(self, before: str) -> bool:
        """Whether its digest is what its content and the digest before make it."""
        try:
            return self.hash == digest(before, self.seq, self.time, self.kind, self.key, self.text)
        except (TypeError, ValueError):
            return False
