"""A report as JSON data, version 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spyderresp.errors import Diagnostic, Location
from spyderresp.testing.coverage import WHATS, Coverage, CoveredPlace
from spyderresp.testing.report import Layout, Problem, Report, Result


def report_dict(report: Report, errors: Iterable[Diagnostic] = ()) -> dict[str, Any]:
    """Return a report as JSON data.

    Args:
        report: the report.
        errors: what cannot be read.
    """
    said: dict[str, Any] = {
        "version": 1,
        "passed": report.count("passed"),
        "failed": report.count("failed"),
        "errors": report.count("error"),
        "tests": [_result(result) for result in report.results],
        "diagnostics": [
            {"code": item.code, "level": item.level, "message": item.message, **_place(item.location)}
            for item in errors
        ],
    }
    if report.coverage is not None:
        said["coverage"] = _coverage(report.coverage)
    return said


def _place(location: Location) -> dict[str, Any]:
    known = location.line > 0
    return {
        "path": location.path,
        "line": location.line if known else None,
        "column": location.column if known else None,
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "suite": result.suite.name,
        "name": result.case.name,
        "status": result.status,
        **_place(result.case.location),
        "problems": [_problem(problem) for problem in result.problems],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    said: dict[str, Any] = {"kind": problem.kind, "message": problem.message, **_place(problem.location)}
    if problem.given is not None and problem.given.label:
        said["event"] = problem.given.label
    if problem.layout is not None:
        said["actions"] = _layout(problem.layout)
    elif problem.expected is not None or problem.got is not None:
        said["expected"], said["got"] = problem.expected, problem.got
    return said


def _layout(layout: Layout) -> list[dict[str, Any]]:
    return [
        {
            "expected": None if pair.expected is None else dict(layout.expected[pair.expected].said),
            "got": None if pair.got is None else layout.plan[pair.got].to_dict(),
            "agrees": pair.agrees,
            "differences": [found._asdict() for found in pair.differences],
            "reasons": [
                {"entry": reason.entry, "reason": reason.text, "location": str(reason.location)}
                for reason in layout.reasons.get(-1 if pair.expected is None else pair.expected, ())
            ],
        }
        for pair in layout.pairs
    ]


def _coverage(coverage: Coverage) -> dict[str, Any]:
    counts = {what: coverage.counts(what) for what in WHATS}
    covered, total = coverage.counts()
    return {
        "percent": round(coverage.percent, 4),
        "covered": covered,
        "total": total,
        **{what: {"covered": some, "total": every} for what, (some, every) in counts.items()},
        "uncovered": [_uncovered(place) for place in coverage.uncovered],
    }


def _uncovered(place: CoveredPlace) -> dict[str, Any]:
    return {
        "what": place.what,
        "policy": place.policy,
        "subject": place.subject,
        "missing": place.missing,
        **_place(place.location),
    }
