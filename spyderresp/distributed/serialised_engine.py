"""Sends policies to workers: only what affects decisions is sent, and each process compiles a set once."""

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

# The most policy sets that a process keeps compiled.
_MAX_SETS: Final = 4
_COMPILING: Final = threading.Lock()
# The fastest level of compression. Policies repeat many texts, so it still compresses well.
_LEVEL: Final = 1
_NOWHERE: Final = Location("", 0, 0)
Options = tuple[Defaults, NotIn, Literal["audit"] | None]


class Shipped:
    """Policies and options to send. Two are equal if digest and options are, so a worker unpacks equal policies once.

    Args:
        digest: the digest of the policies.
        options: the options of the engine: ``defaults``, ``not_in``, ``mode``.
        policies: the policies; packed if they were received.
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
        """The policies; without locations and metadata if they were received."""
        return unpack(self._policies) if isinstance(self._policies, bytes) else self._policies

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shipped) and (self.digest, self.options) == (other.digest, other.options)

    def __hash__(self) -> int:
        return hash((self.digest, self.options))

    def __reduce__(self) -> tuple[type[Shipped], tuple[str, Options, bytes]]:
        return Shipped, (self.digest, self.options, self.data)


def engine_of(shipped: Shipped) -> Engine:
    """Return the engine of these policies, compiled once in this process."""
    # One thread compiles while the others wait (tests/integrations/test_batches.py).
    with _COMPILING:
        return compiled(shipped)


@functools.lru_cache(maxsize=_MAX_SETS)
def compiled(shipped: Shipped) -> Engine:
    """Return the engine of these policies. Cached; the result depends only on the argument (docs/decisions/0050)."""
    defaults, not_in, mode = shipped.options
    policies = shipped.policies
    if policies.digest != shipped.digest:
        message = f"the policies changed on the way: their digest is `{policies.digest}`, not `{shipped.digest}`"
        raise ValueError(message)
    return Engine(policies, defaults=defaults, not_in=not_in, mode=mode)


@functools.lru_cache(maxsize=_MAX_SETS)
def packed(shipped: Shipped) -> bytes:
    """Return the packed policies. Cached, so that several jobs with the same policies pack them once."""
    return pack(shipped.policies)


def pack(policies: PolicySet) -> bytes:
    """Return the content of policies that their digest covers, compressed."""
    # Pickling tuples is several times as fast as pickling the objects with their locations.
    plain = tuple(
        (
            policy.name,
            policy.uid,
            policy.type,
            policy.enabled,
            policy.mode,
            _selectors(policy.selectors),
            _entries(policy.entries),
        )
        for policy in policies
    )
    return zlib.compress(pickle.dumps(plain, pickle.HIGHEST_PROTOCOL), _LEVEL)


def _selectors(selectors: Iterable[Selector]) -> tuple[Any, ...]:
    return tuple(
        (
            selector.scope,
            tuple((clause.key, clause.operator, clause.values, clause.primitive) for clause in selector.clauses),
        )
        for selector in selectors
    )


def _entries(entries: Iterable[Entry]) -> tuple[Any, ...]:
    return tuple(
        (entry.action, entry.parameters, _selectors(entry.selectors), entry.enabled, entry.section, entry.index)
        for entry in entries
    )


def unpack(data: bytes) -> PolicySet:
    """Return packed policies, without locations and metadata. Their digest is the same."""
    plain = pickle.loads(zlib.decompress(data))  # noqa: S301 - part of a pickle that was being loaded anyway
    return PolicySet(
        [
            Policy(
                name, uid, kind, enabled, mode, _unpacked_selectors(selectors), _unpacked_entries(entries), {}, _NOWHERE
            )
            for name, uid, kind, enabled, mode, selectors, entries in plain
        ]
    )


def _unpacked_selectors(selectors: Iterable[Any]) -> tuple[Selector, ...]:
    return tuple(
        [
            Selector(
                scope, tuple([Clause(key, how, values, word, _NOWHERE) for key, how, values, word in clauses]), _NOWHERE
            )
            for scope, clauses in selectors
        ]
    )


def _unpacked_entries(entries: Iterable[Any]) -> tuple[Entry, ...]:
    return tuple(
        [
            Entry(action, parameters, _unpacked_selectors(selectors), enabled, section, index, _NOWHERE)
            for action, parameters, selectors, enabled, section, index in entries
        ]
    )
