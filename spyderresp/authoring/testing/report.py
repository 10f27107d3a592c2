"""The results of policy tests, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spyderresp.authoring.testing.coverage import Coverage
from spyderresp.authoring.testing.expectations import ActionPair
from spyderresp.authoring.testing.suite import Case, CaseEvent, ExpectedAction, How, Suite
from spyderresp.decision import ActionPlan
from spyderresp.errors import Diagnostic, Location

Status = Literal["passed", "failed", "error"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an entry did not fire.

    Attributes:
        entry: the entry, as ``POLICY, SECTION[INDEX]``.
        text: the reason, on one line.
        location: the location of what decided.
    """

    entry: str
    text: str
    location: Location


@dataclass(frozen=True, slots=True)
class Layout:
    """The expected actions and the actions of a plan, in pairs.

    Attributes:
        how: how they are compared.
        expected: the expected actions.
        plan: the plan.
        pairs: the pairs.
        reasons: why entries did not fire, by the index of the missing expected action.
    """

    how: How
    expected: tuple[ExpectedAction, ...]
    plan: ActionPlan
    pairs: tuple[ActionPair, ...]
    reasons: Mapping[int, tuple[Reason, ...]]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as expected.

    Attributes:
        kind: what is not as expected: ``actions``, ``none_of``, ``policies``; ``plan``: another key of the plan;
            ``error``: the error of the event; ``name``: a name in the test does not exist; ``unreadable``: the policies
            cannot be read.
        message: one line: lower case, names in backticks.
        location: the location of the expectation.
        event: the event; None: the problem concerns no event.
        layout: for ``actions``, all actions.
        expected: the expected value, as JSON data; None: the message has it.
        got: the actual value, likewise.
    """

    kind: Literal["actions", "none_of", "policies", "plan", "error", "name", "unreadable"]
    message: str
    location: Location
    event: CaseEvent | None = None
    layout: Layout | None = None
    expected: Any = None
    got: Any = None


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one test.

    Attributes:
        suite: the suite of the test.
        case: the test.
        problems: what is not as expected.
        seconds: how long the test took.
    """

    suite: Suite
    case: Case
    problems: tuple[Problem, ...]
    seconds: float

    @property
    def status(self) -> Status:
        """``passed``, ``failed``, or ``error``: the test could not be run."""
        if any(problem.kind == "unreadable" for problem in self.problems):
            return "error"
        return "failed" if self.problems else "passed"


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all tests.

    Attributes:
        results: the results, in reading order.
        diagnostics: the findings about policies that cannot be read.
        coverage: the coverage; None: it was not measured.
    """

    results: tuple[Result, ...]
    diagnostics: tuple[Diagnostic, ...]
    coverage: Coverage | None

    def count(self, status: Status) -> int:
        """Return the number of tests with a status."""
        return sum(result.status == status for result in self.results)
