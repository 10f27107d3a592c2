"""Policy tests as values: what a file says, checked, with its places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.errors import EventError, Location

#: ``exactly``: these actions in this order, each described in part; ``contains``: these among others; ``whole``: these
#: in this order, and each says everything.
How = Literal["exactly", "contains", "whole"]


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """One event of a test.

    Attributes:
        label: what tells it from the test's other events, such as ``events.jsonl:3``; empty where it is the only one.
        event: in the normal form; None where there is an error.
        error: why the record is no event, or None.
    """

    label: str
    event: Any
    error: EventError | None = None


@dataclass(frozen=True, slots=True)
class ExpectedAction:
    """One planned action, in part or in whole.

    Attributes:
        said: what is said of it, by the keys of a plan's JSON form; besides, ``policy``, ``section``, ``index`` and
            ``uid`` of one of its sources. None: it must not have that.
        location: where it is said.
    """

    said: Mapping[str, Any]
    location: Location


@dataclass(frozen=True, slots=True)
class ExpectedName:
    """A policy that is expected to be in scope."""

    name: str
    location: Location


@dataclass(frozen=True, slots=True)
class ExpectedError:
    """That the event cannot be decided.

    Attributes:
        path: where in the event, or None: anywhere.
        reason: a part of the reason, or None: any.
        location: where it is said.
    """

    path: str | None
    reason: str | None
    location: Location


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is to come of an event.

    Attributes:
        how: how the actions are compared.
        actions: what is to be planned; None: nothing is said.
        none_of: what must not be planned.
        policies: which policies are in scope, in order; None: nothing is said.
        rest: what is said of a plan's other keys, such as ``attribution``.
        error: that there is no plan; or None.
        location: where it stands.
    """

    how: How
    actions: tuple[ExpectedAction, ...] | None
    none_of: tuple[ExpectedAction, ...]
    policies: tuple[ExpectedName, ...] | None
    rest: Mapping[str, Any]
    error: ExpectedError | None
    location: Location


@dataclass(frozen=True, slots=True)
class Case:
    """One test, or one row of a table of tests.

    Attributes:
        name: as it is shown, the row's after the test's.
        events: what it is about; the expectation is that of each.
        expect: what is to come of them.
        location: where it stands.
    """

    name: str
    events: tuple[CaseEvent, ...]
    expect: Expectation
    location: Location


@dataclass(frozen=True, slots=True)
class Options:
    """How the policies of a suite are read and compiled."""

    strict: bool = False
    defaults: Defaults = "always"
    not_in: NotIn = "kubernetes"
    mode: Literal["audit"] | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """One document of tests.

    Attributes:
        name: its own, or that of its file.
        path: its file.
        policies: paths of the policies.
        options: how these are read and compiled.
        cases: the tests, each row of a table by itself.
        inputs: files of events that were read for it.
        location: where it begins.
    """

    name: str
    path: str
    policies: tuple[str, ...]
    options: Options
    cases: tuple[Case, ...]
    inputs: tuple[str, ...]
    location: Location
