"""What became of policy tests, as values."""

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
    """Why an entry that was expected to fire did not, or fired.

    Attributes:
        entry: ``POLICY, SECTION[INDEX]``.
        text: one line.
        location: where that is decided.
    """

    entry: str
    text: str
    location: Location


@dataclass(frozen=True, slots=True)
class Layout:
    """Expected actions beside those of a plan.

    Attributes:
        how: as of the expectation.
        expected: the expected actions.
        plan: what was planned.
        pairs: which is which.
        reasons: by the place of an expected action that is missing: why.
    """

    how: How
    expected: tuple[ExpectedAction, ...]
    plan: ActionPlan
    pairs: tuple[ActionPair, ...]
    reasons: Mapping[int, tuple[Reason, ...]]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as expected.

    Attributes:
        kind: ``actions``; ``none_of``; ``policies``; ``plan``, another key of it; ``error``, the event's; ``name``, of
            what is not there; ``unreadable``, the policies.
        message: one line: lower case, names in backticks.
        location: where that was expected.
        given: the event, or None where it is about none.
        layout: for ``actions``, all of them.
        expected: JSON data, where that says more.
        got: JSON data, likewise.
    """

    kind: Literal["actions", "none_of", "policies", "plan", "error", "name", "unreadable"]
    message: str
    location: Location
    given: CaseEvent | None = None
    layout: Layout | None = None
    expected: Any = None
    got: Any = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test.

    Attributes:
        suite: the document that it stands in.
        case: the test.
        problems: what is not as expected.
        seconds: how long it took.
    """

    suite: Suite
    case: Case
    problems: tuple[Problem, ...]
    seconds: float

    @property
    def status(self) -> Status:
        """``error`` where it could not be run."""
        if any(problem.kind == "unreadable" for problem in self.problems):
            return "error"
        return "failed" if self.problems else "passed"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all tests.

    Attributes:
        results: in reading order.
        diagnostics: what is wrong with policies that cannot be read.
        coverage: what the tests' events were seen to do; None where that was not asked for.
    """

    results: tuple[Result, ...]
    diagnostics: tuple[Diagnostic, ...]
    coverage: Coverage | None

    def count(self, status: Status) -> int:
        """Return how many tests came to this."""
        return sum(result.status == status for result in self.results)
