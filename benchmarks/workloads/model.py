"""What a workload is: policies as text, and templates of events from which two streams are drawn."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import spyderresp

try:
    import orjson
except ImportError:  # The shapes of the figures are the same; decoding is slower.
    orjson = None

#: Stands in a template where the number of the event goes, inside a text.
NUMBER = "~N~"
#: Stands where a number is due: an integer of the event's own.
INTEGER = "~I~"
_INTEGER_TEXT = f'"{INTEGER}"'
_FIRST_INTEGER = 1_000
_INTEGERS = 4_000_000


def decoder() -> Callable[[bytes], Any]:
    """Return the JSON decoder that makes events: every call makes new texts, whose hashes nobody has computed."""
    return json.loads if orjson is None else orjson.loads


@dataclass(frozen=True)
class Workload:
    """A policy set and its events.

    Attributes:
        name: what tables call it.
        text: the policies as JSON.
        contexts: templates of the stream that repeats, the most frequent first. What policies name is the same in
            each event of a context; id, time, pid, pod name and uids are each event's own.
        openings: templates of the stream that never repeats: each value that policies name is new in each event, and
            globs, ``NotIn`` and ``Exists`` alone decide.
    """

    name: str
    text: str
    contexts: Sequence[str]
    openings: Sequence[str]

    @cached_property
    def policies(self) -> spyderresp.PolicySet:
        """The policy set, read once."""
        return spyderresp.loads(self.text)

    def engine(self, **options: Any) -> spyderresp.Engine:
        """Return a new engine, its memos empty."""
        return spyderresp.Engine(self.policies, **options)

    def repeating(self, count: int, *, start: int = 0) -> list[bytes]:
        """Return events of the stream that repeats, numbered from ``start``."""
        return list(itertools.islice(_stream(self.contexts, start), count))

    def each_context(self) -> Iterator[bytes]:
        """Yield one event of each context, for memos to know them all."""
        return (_event(template, number) for number, template in enumerate(self.contexts))

    def fresh(self, count: int, *, start: int = 0) -> list[bytes]:
        """Return events of the stream in which no named value comes twice, numbered from ``start``."""
        return list(itertools.islice(_stream(self.openings, start), count))

    def stream(self, *, fresh: bool, start: int = 0) -> Iterator[bytes]:
        """Yield events of either stream without end, in constant memory."""
        return _stream(self.openings if fresh else self.contexts, start)


def _stream(templates: Sequence[str], start: int) -> Iterator[bytes]:
    """Yield events of templates drawn as words are in a text: the n-th most frequent has a share of 1/n."""
    draw = random.Random(start + 8)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(templates) + 1)))
    number = start
    while True:
        for template in draw.choices(templates, cum_weights=weights, k=1_000):
            yield _event(template, number)
            number += 1


def _event(template: str, number: int) -> bytes:
    integer = str(_FIRST_INTEGER + number % _INTEGERS)
    return template.replace(NUMBER, str(number)).replace(_INTEGER_TEXT, integer).encode()


def event_template(**scopes: Any) -> str:
    """Return a template of an event with an id and time of its own, compact as machines write JSON."""
    return json.dumps({"id": f"dev:{NUMBER}", "time": INTEGER, **scopes}, separators=(",", ":"))


def policies_text(documents: Iterator[dict[str, Any]]) -> str:
    """Return policy documents as one JSON text."""
    return "[" + ",\n".join(json.dumps(document) for document in documents) + "]"


def policy(name: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a policy document."""
    metadata = {"name": name, "type": kind, "uid": f"pol:{name}"}
    return {"apiVersion": "spyderbat/v1", "kind": "SpyderbatPolicy", "metadata": metadata, "spec": spec}
