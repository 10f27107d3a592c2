"""Policies on their way to workers: what decides of them and no more; a process compiles each set once."""

from __future__ import annotations

import functools
import pickle
import threading
import zlib
from collections.abc import Iterable
from typing import Any, Final, Literal

from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.decision.engine import Engine
from spyderresp.errors import Location
from spyderresp.policies.policy_set import Clause, Entry, Policy, PolicySet, Selector

#: How many policy sets a process keeps compiled.
_KEPT: Final = 4
_COMPILING: Final = threading.Lock()
#: The fastest level; policy texts repeat, so they still pack well.
_LEVEL: Final = 1
_NOWHERE: Final = Location("", 0, 0)
Options = tuple[Defaults, NotIn, Literal["audit"] | None]


class Shipped:
    """Policies and options. Equal where digest and options are, so that a worker unpacks policies only once.

    Args:
        digest: of the policies.
        options: of the engine: ``defaults``, ``not_in``, ``mode``.
        policies: themselves where they were loaded, packed where they arrived.
    """

    def __init__(self, digest: str, options: Options, policies: PolicySet | bytes) -> None:
        self.digest = digest
        self.options = options
        self._policies = policies

    @property
    def data(self) -> bytes:
        """The policies, packed."""
        return self._policies if isinstance(self._policies, bytes) else packed(self)

    @property
    def policies(self) -> PolicySet:
        """The policies; without places and metadata where they arrived packed."""
        return unpack(self._policies) if isinstance(self._policies, bytes) else self._policies

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shipped) and (self.digest, self.options) == (other.digest, other.options)

    def __hash__(self) -> int:
        return hash((self.digest, self.options))

    def __reduce__(self) -> tuple[type[Shipped], tuple[str, Options, bytes]]:
        return Shipped, (self.digest, self.options, self.data)


def engine_of(shipped: Shipped) -> Engine:
    """Return the engine of these policies, compiled once in this process."""
    # One thread compiles, the others wait for it: tests/integrations/test_batches.py.
    with _COMPILING:
        return compiled(shipped)


@functools.lru_cache(maxsize=_KEPT)
def compiled(shipped: Shipped) -> Engine:
    """Return the engine of these policies. A function of its argument, remembered: docs/decisions/0050."""
    defaults, not_in, mode = shipped.options
    policies = shipped.policies
    if policies.digest != shipped.digest:
        raise ValueError(f"policies arrived as others than were sent: `{policies.digest}`, not `{shipped.digest}`")
    return Engine(policies, defaults=defaults, not_in=not_in, mode=mode)


@functools.lru_cache(maxsize=_KEPT)
def packed(shipped: Shipped) -> bytes:
    """Return the packed policies. Cached, so that several jobs with the same policies pack them once."""
    return pack(shipped.policies)


def pack(policies: PolicySet) -> bytes:
    """Return all of the policies that their digest covers."""
    # As tuples: objects that reduce themselves, each with its place, take several times as long.
    plain = tuple(
        (one.name, one.uid, one.type, one.enabled, one.mode, _selectors(one.selectors), _entries(one.entries))
        for one in policies
    )
    return zlib.compress(pickle.dumps(plain, pickle.HIGHEST_PROTOCOL), _LEVEL)


def _selectors(selectors: Iterable[Selector]) -> tuple[Any, ...]:
    return tuple(
        (one.scope, tuple((clause.key, clause.operator, clause.values, clause.primitive) for clause in one.clauses))
        for one in selectors
    )


def _entries(entries: Iterable[Entry]) -> tuple[Any, ...]:
    return tuple(
        (one.action, one.parameters, _selectors(one.selectors), one.enabled, one.section, one.index) for one in entries
    )


def unpack(data: bytes) -> PolicySet:
    """Return policies that were packed, with neither places nor metadata; their digest is the same."""
    plain = pickle.loads(zlib.decompress(data))  # noqa: S301 - part of a pickle that was being loaded anyway
    return PolicySet(
        [
            Policy(name, uid, kind, enabled, mode, _made(selectors), _made_entries(entries), {}, _NOWHERE)
            for name, uid, kind, enabled, mode, selectors, entries in plain
        ]
    )


def _made(selectors: Iterable[Any]) -> tuple[Selector, ...]:
    return tuple(
        [
            Selector(
                scope, tuple([Clause(key, how, values, word, _NOWHERE) for key, how, values, word in clauses]), _NOWHERE
            )
            for scope, clauses in selectors
        ]
    )


def _made_entries(entries: Iterable[Any]) -> tuple[Entry, ...]:
    return tuple(
        [
            Entry(action, parameters, _made(selectors), enabled, section, index, _NOWHERE)
            for action, parameters, selectors, enabled, section, index in entries
        ]
    )
