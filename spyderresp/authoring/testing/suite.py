"""Policy tests as values: the checked content of test files, with locations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.errors import EventError, Location

#: How actions are compared. ``exactly``: exactly these actions, in this order; ``contains``: these and perhaps others.
#: In both, an expected action may leave out keys. ``whole``: as ``exactly``, and a key that is left out must be absent.
How = Literal["exactly", "contains", "whole"]


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """One event of a test.

    Attributes:
        label: its name among the events of the test, such as ``events.jsonl:3``; empty: it is the only one.
        event: the event, in the normal form; None: there is an error.
        error: why the record is no event; None: it is one.
    """

    label: str
    event: Any
    error: EventError | None = None


@dataclass(frozen=True, slots=True)
class ExpectedAction:
    """An expected action.

    Attributes:
        fields: the expected values, by the keys of an action in a plan's JSON form; also ``policy``, ``section``,
            ``index`` and ``uid`` of one of its sources. The value None: the action must not have the key.
        location: its location in the test file.
    """

    fields: Mapping[str, Any]
    location: Location


@dataclass(frozen=True, slots=True)
class ExpectedName:
    """A policy that is expected to be in scope."""

    name: str
    location: Location


@dataclass(frozen=True, slots=True)
class ExpectedError:
    """The expectation that the event cannot be decided.

    Attributes:
        path: the path of the error in the event; None: any path.
        reason: a part of the reason; None: any reason.
        location: its location in the test file.
    """

    path: str | None
    reason: str | None
    location: Location


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a test expects for an event.

    Attributes:
        how: how the actions are compared.
        actions: the expected actions; None: the actions are not compared.
        none_of: the actions that must not be planned.
        policies: the policies that must be in scope, in order; None: they are not compared.
        rest: the expected values of other keys of the plan, such as ``attribution``.
        error: the expected error; None: the event must be decided.
        location: its location in the test file.
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
        name: its name; that of a row follows the name of the test.
        events: the events of the test.
        expect: what is expected for each of them.
        location: its location in the test file.
    """

    name: str
    events: tuple[CaseEvent, ...]
    expect: Expectation
    location: Location


@dataclass(frozen=True, slots=True)
class Options:
    """The options with which the policies of a suite are read and compiled."""

    strict: bool = False
    defaults: Defaults = "always"
    not_in: NotIn = "kubernetes"
    mode: Literal["audit"] | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """One document of tests.

    Attributes:
        name: its name; without one, that of its file.
        path: its file.
        policies: the paths of the policies.
        options: how the policies are read and compiled.
        cases: the tests; each row of a table is one.
        inputs: the files of events that the tests use.
        location: its start in the file.
    """

    name: str
    path: str
    policies: tuple[str, ...]
    options: Options
    cases: tuple[Case, ...]
    inputs: tuple[str, ...]
    location: Location
