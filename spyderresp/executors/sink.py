"""What the sinks that ship have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from spyderresp.protection import Protection
from spyderresp.records import enveloped
from spyderresp.report import Result
from spyderresp.steps import Step
from spyderresp.vocabulary import FLAGS

_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False, default=repr).encode


class FlagSink:
    """The half of a sink that is the same for all: its name, what it takes, the envelope.

    Args:
        name: what reports and the journal call it.
        actions: `makeRedFlag`, `makeOpsFlag`, or both.
        envelope: ``cloudevents``, ``ocsf``, or None for the record as it is.

    Raises:
        ValueError: it cannot take one of the actions, or there is no such envelope.
    """

    def __init__(self, name: str, actions: Iterable[str], envelope: str | None) -> None:
        self.name = name
        self.actions = frozenset(actions)
        if not self.actions or not self.actions <= FLAGS:
            raise ValueError("a sink takes `makeRedFlag`, `makeOpsFlag`, or both")
        self._enveloped = enveloped(envelope)

    def resolve(self, step: Step, protection: Protection) -> Result:  # noqa: ARG002 - the protocol's signature
        """Never asked: a sink delivers."""
        return Result("failed", f"`{self.name}` takes flag records, and no targets")

    def text(self, record: Mapping[str, Any]) -> str:
        """Return a record in its envelope as JSON: ASCII, on one line."""
        return _encode(self._enveloped(record))
