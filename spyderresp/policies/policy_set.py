"""Policies as values that never change: what the author said, checked, with its places. The values are native."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from spyderresp.errors import Diagnostic
from spyderresp.policies._model import Clause, Entry, Policy, Selector, digest
from spyderresp.policies.vocabulary import SCOPES, Mode, Operator, Section


class PolicySet(Sequence[Policy]):
    """Policies in reading order, with what was found while reading them. Immutable; pickles.

    Attributes:
        policies: every response policy, the disabled ones among them.
        diagnostics: warnings and notes of the load, in reading order.
    """

    def __init__(self, policies: Sequence[Policy], diagnostics: Sequence[Diagnostic] = ()) -> None:
        self.policies = tuple(policies)
        self.diagnostics = tuple(diagnostics)

    def __len__(self) -> int:
        return len(self.policies)

    def __iter__(self) -> Iterator[Policy]:
        return iter(self.policies)

    def __getitem__(self, index: Any) -> Any:
        return self.policies[index]

    def __repr__(self) -> str:
        return f"PolicySet({len(self.policies)} policies, {self.digest})"

    @cached_property
    def digest(self) -> str:
        """``sha256:`` and 64 hexadecimal digits over the policies' meaning and order; formatting changes nothing.

        Covered: name, uid, type, enabled, mode, selectors (the order of their clauses and values apart) and entries.
        Not covered: other metadata, rulesets, workload keys, places and diagnostics.
        """
        return digest(self.policies)

    @cached_property
    def named(self) -> Mapping[str, frozenset[str]]:
        """The fields, and of scopes with labels the labels, that selectors name, by scope; disabled policies' too."""
        found: dict[str, set[str]] = {scope: set() for scope in SCOPES}
        for policy in self.policies:
            for selector in (*policy.selectors, *(one for entry in policy.entries for one in entry.selectors)):
                found[selector.scope].update([clause.key for clause in selector.clauses])
        # No proxy of a mapping: those do not pickle.
        return {scope: frozenset(keys) for scope, keys in found.items()}


__all__ = ["Clause", "Entry", "Mode", "Operator", "Policy", "PolicySet", "Section", "Selector"]
