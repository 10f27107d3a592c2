"""Runs suites: loads their policies once, decides their events, and checks the plans."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator

from spyderresp.authoring.testing.checks import check, missing_names
from spyderresp.authoring.testing.coverage import Recorder
from spyderresp.authoring.testing.report import Problem, Report, Result
from spyderresp.authoring.testing.suite import Case, Options, Suite
from spyderresp.decision.engine import Engine
from spyderresp.errors import Diagnostic, EventError, PolicyError
from spyderresp.policies.loader import load
from spyderresp.policies.policy_set import PolicySet


def run(
    suites: Iterable[Suite],
    *,
    chosen: Callable[[Suite, Case], bool] = lambda _suite, _case: True,
    coverage: bool = False,
) -> Report:
    """Run tests.

    Args:
        suites: the suites, as ``find`` returns them.
        chosen: returns whether to run a test.
        coverage: whether to measure the coverage, which needs an explanation of every event.
    """
    runner = Runner(Recorder() if coverage else None)
    results = tuple(result for suite in suites for result in runner.results(suite, chosen))
    return Report(results, tuple(runner.diagnostics), None if runner.recorder is None else runner.recorder.coverage())


class Runner:
    """Runs tests one by one. Policies that several suites share are loaded once.

    Attributes:
        recorder: records the coverage; None: it is not measured.
        diagnostics: the findings about policies that cannot be read.
    """

    def __init__(self, recorder: Recorder | None = None) -> None:
        self.recorder = recorder
        self.diagnostics: list[Diagnostic] = []
        self._policies: dict[tuple[tuple[str, ...], bool], PolicySet | PolicyError] = {}
        self._engines: dict[tuple[tuple[str, ...], Options], Engine] = {}

    def results(self, suite: Suite, chosen: Callable[[Suite, Case], bool]) -> Iterator[Result]:
        """Yield the results of the chosen tests of a suite."""
        for case in suite.cases:
            if chosen(suite, case):
                yield self.result(suite, case)

    def result(self, suite: Suite, case: Case) -> Result:
        """Run a test and return its result."""
        start = time.perf_counter()
        problems = self._problems(suite, case)
        return Result(suite, case, problems, time.perf_counter() - start)

    def _problems(self, suite: Suite, case: Case) -> tuple[Problem, ...]:
        engine = self._engine(suite)
        if isinstance(engine, PolicyError):
            errors = len(engine.errors)
            more = f", and {errors - 1} more" if errors > 1 else ""
            message = f"the policies cannot be read: {engine.errors[0]}{more}"
            return (Problem("unreadable", message, suite.location),)
        problems = list(missing_names(case.expect, engine.policies))
        for event in case.events:
            problems += check(event, case.expect, engine)
            if self.recorder is not None and event.error is None:
                # An event that cannot be decided covers nothing.
                with contextlib.suppress(EventError):
                    self.recorder.record(engine.explain(event.event), engine.policies)
        return tuple(problems)

    def _engine(self, suite: Suite) -> Engine | PolicyError:
        policies = self._load(suite)
        if isinstance(policies, PolicyError):
            return policies
        if self.recorder is not None:
            self.recorder.add_policies(policies)
        key = suite.policies, suite.options
        if key not in self._engines:
            options = suite.options
            self._engines[key] = Engine(policies, defaults=options.defaults, not_in=options.not_in, mode=options.mode)
        return self._engines[key]

    def _load(self, suite: Suite) -> PolicySet | PolicyError:
        key = suite.policies, suite.options.strict
        if key not in self._policies:
            try:
                self._policies[key] = load(*suite.policies, strict=suite.options.strict)
            except PolicyError as error:
                self.diagnostics += error.diagnostics
                self._policies[key] = error
        return self._policies[key]
