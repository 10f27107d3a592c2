"""Runs suites: loads their policies once, decides their events, checks what comes of them."""

from __future__ import annotations

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


def everything(suite: Suite, case: Case) -> bool:  # noqa: ARG001 - the signature of a choice
    """Choose every test."""
    return True


def run(
    suites: Iterable[Suite], *, chosen: Callable[[Suite, Case], bool] = everything, coverage: bool = False
) -> Report:
    """Run tests.

    Args:
        suites: what ``find`` found.
        chosen: which tests to run.
        coverage: whether to find out what they cover, which takes an explanation of every event.
    """
    runner = Runner(Recorder() if coverage else None)
    results = tuple(result for suite in suites for result in runner.results(suite, chosen))
    return Report(results, tuple(runner.diagnostics), None if runner.recorder is None else runner.recorder.coverage())


class Runner:
    """Runs tests one by one. Policies that several suites share are loaded once.

    Attributes:
        recorder: what gathers coverage, or None.
        diagnostics: what was found about policies that cannot be read.
    """

    def __init__(self, recorder: Recorder | None = None) -> None:
        self.recorder = recorder
        self.diagnostics: list[Diagnostic] = []
        self._policies: dict[tuple[tuple[str, ...], bool], PolicySet | PolicyError] = {}
        self._engines: dict[tuple[tuple[str, ...], Options], Engine] = {}

    def results(self, suite: Suite, chosen: Callable[[Suite, Case], bool]) -> Iterator[Result]:
        """Yield what became of the chosen tests of a suite."""
        for case in suite.cases:
            if chosen(suite, case):
                yield self.result(suite, case)

    def result(self, suite: Suite, case: Case) -> Result:
        """Return what became of a test."""
        begun = time.perf_counter()
        problems = self._problems(suite, case)
        return Result(suite, case, problems, time.perf_counter() - begun)

    def _problems(self, suite: Suite, case: Case) -> tuple[Problem, ...]:
        engine = self._engine(suite)
        if isinstance(engine, PolicyError):
            errors = len(engine.errors)
            more = f", and {errors - 1} more" if errors > 1 else ""
            message = f"the policies cannot be read: {engine.errors[0]}{more}"
            return (Problem("unreadable", message, suite.location),)
        problems = list(missing_names(case.expect, engine.policies))
        for given in case.events:
            problems += check(given, case.expect, engine)
            if self.recorder is not None and given.error is None:
                try:
                    self.recorder.see(engine.explain(given.event), engine.policies)
                except EventError:
                    # It has no verdicts.
                    continue
        return tuple(problems)

    def _engine(self, suite: Suite) -> Engine | PolicyError:
        policies = self._load(suite)
        if isinstance(policies, PolicyError):
            return policies
        if self.recorder is not None:
            self.recorder.expect(policies)
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
