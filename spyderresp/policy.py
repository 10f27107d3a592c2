"""Policies as frozen data: what the author said, checked, with its places."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from spyderresp.errors import Diagnostic, Location

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]
Section = Literal["default", "actions"]
Mode = Literal["audit", "enforce"]

_DIGEST_VERSION: Final = 1


class Clause(NamedTuple):
    """One condition of a selector.

    Attributes:
        key: a field (``exe``) or a label key.
        operator: ``matchFields`` and ``matchLabels`` are ``In``.
        values: globs or exact texts, any of which satisfies ``In``; empty for the presence operators.
        primitive: the word under which it stands, such as ``matchExpressions``; the selector's own key where a field
            stands directly under it.
        location: where it stands.
    """

    key: str
    operator: Operator
    values: tuple[str, ...]
    primitive: str
    location: Location


class Selector(NamedTuple):
    """All clauses on one scope; every one must hold, and the event must have the scope."""

    scope: str
    clauses: tuple[Clause, ...]
    location: Location

    @property
    def key(self) -> str:
        """The word in the policy, such as ``processSelector``."""
        return f"{self.scope}Selector"


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of ``response.default`` or ``response.actions``.

    Attributes:
        action: such as ``agentKillProcess``.
        parameters: the action's own fields, in a fixed order; ``priority`` is an int, everything else a text.
        selectors: all must match; empty in ``default``.
        enabled: whether the entry takes part.
        section: the list it stands in.
        index: its place in that list, from 0, disabled entries counted.
        location: where its action stands.
    """

    action: str
    parameters: tuple[tuple[str, str | int], ...]
    selectors: tuple[Selector, ...]
    enabled: bool
    section: Section
    index: int
    location: Location


@dataclass(frozen=True, slots=True)
class Policy:
    """One response policy.

    Attributes:
        name: ``metadata.name``.
        uid: ``metadata.uid``, or None.
        type: ``cluster``, ``container`` or ``linux-service``.
        enabled: ``spec.enabled``.
        mode: ``audit`` or ``enforce``.
        selectors: the policy's scope; all must match.
        entries: ``response.default``, then ``response.actions``, in order.
        metadata: everything under ``metadata``, as plain data, every scalar a text.
        location: where the document begins.
    """

    name: str
    uid: str | None
    type: str
    enabled: bool
    mode: Mode
    selectors: tuple[Selector, ...]
    entries: tuple[Entry, ...]
    metadata: Mapping[str, Any] = field(repr=False)
    location: Location

    @property
    def default(self) -> tuple[Entry, ...]:
        """The entries of ``response.default``."""
        return tuple(entry for entry in self.entries if entry.section == "default")

    @property
    def actions(self) -> tuple[Entry, ...]:
        """The entries of ``response.actions``."""
        return tuple(entry for entry in self.entries if entry.section == "actions")


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
        document = [_DIGEST_VERSION, [_meaning(policy) for policy in self.policies]]
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=True)
        return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def _meaning(policy: Policy) -> list[Any]:
    return [
        policy.name,
        policy.uid,
        policy.type,
        policy.enabled,
        policy.mode,
        _selectors_meaning(policy.selectors),
        [
            [entry.section, entry.action, entry.enabled, entry.parameters, _selectors_meaning(entry.selectors)]
            for entry in policy.entries
        ],
    ]


def _selectors_meaning(selectors: tuple[Selector, ...]) -> list[Any]:
    return sorted(
        [
            selector.scope,
            sorted({(clause.key, clause.operator, tuple(sorted(set(clause.values)))) for clause in selector.clauses}),
        ]
        for selector in selectors
    )
