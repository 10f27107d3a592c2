"""A report as JUnit XML (junit-10.xsd of Jenkins's xUnit plugin) and as JSON data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final
from xml.etree import ElementTree as ET

from spyderresp.authoring.testing.checks import lines_of
from spyderresp.authoring.testing.coverage import WHATS, Coverage, CoveredPlace
from spyderresp.authoring.testing.report import Layout, Problem, Report, Result
from spyderresp.errors import Diagnostic, Location

# Characters that XML 1.0 does not allow, not even escaped.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_text(report: Report, unreadable: Iterable[Diagnostic] = ()) -> str:
    """Return a report as XML.

    Args:
        report: the report.
        unreadable: the findings about test files that cannot be read. Each such file becomes a suite with one error.
    """
    root = ET.Element("testsuites", name="spyderresp test")
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in report.results:
        groups.setdefault((result.suite.path, result.suite.name), []).append(result)
    for (path, name), results in groups.items():
        seconds = sum(result.seconds for result in results)
        failed, errors = (sum(result.status == status for result in results) for status in ("failed", "error"))
        element = _suite(root, name, path, len(results), failed, errors, seconds)
        for result in results:
            case = ET.SubElement(element, "testcase", name=_plain(result.case.name), classname=_plain(f"{path}.{name}"))
            case.set("time", f"{result.seconds:.6f}")
            if result.problems:
                _wrong(case, result)
    faults: dict[str, list[Diagnostic]] = {}
    for item in unreadable:
        if item.level == "error":
            faults.setdefault(item.location.path, []).append(item)
    for path, items in faults.items():
        element = _suite(root, path, path, 1, 0, 1, 0.0)
        case = ET.SubElement(element, "testcase", name="reading", classname=_plain(path), time="0")
        error = ET.SubElement(case, "error", message=_plain(str(items[0])), type=items[0].code)
        error.text = _plain("\n".join(map(str, items)))
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(element.get(key, "0")) for element in root)))
    root.set("time", f"{sum(result.seconds for result in report.results):.6f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(
    root: ET.Element, name: str, path: str, tests: int, failures: int, errors: int, seconds: float
) -> ET.Element:
    element = ET.SubElement(root, "testsuite", name=_plain(name), file=_plain(path))
    for key, value in (("tests", tests), ("failures", failures), ("errors", errors), ("skipped", 0)):
        element.set(key, str(value))
    element.set("time", f"{seconds:.6f}")
    return element


def _wrong(case: ET.Element, result: Result) -> None:
    tag = "error" if result.status == "error" else "failure"
    first = result.problems[0]
    element = ET.SubElement(case, tag, message=_plain(first.message), type=first.kind)
    element.text = _plain("\n".join(line.text for line in lines_of(result)))


def _plain(text: str) -> str:
    """Return a text without the characters that XML does not allow."""
    return _NOT_XML.sub("", text)


# A report as JSON data, version 1.


def report_dict(report: Report, errors: Iterable[Diagnostic] = ()) -> dict[str, Any]:
    """Return a report as JSON data.

    Args:
        report: the report.
        errors: the findings about files that cannot be read.
    """
    data: dict[str, Any] = {
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
        data["coverage"] = _coverage(report.coverage)
    return data


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
    data: dict[str, Any] = {"kind": problem.kind, "message": problem.message, **_place(problem.location)}
    if problem.event is not None and problem.event.label:
        data["event"] = problem.event.label
    if problem.layout is not None:
        data["actions"] = _layout(problem.layout)
    elif problem.expected is not None or problem.got is not None:
        data["expected"], data["got"] = problem.expected, problem.got
    return data


def _layout(layout: Layout) -> list[dict[str, Any]]:
    return [
        {
            "expected": None if pair.expected is None else dict(layout.expected[pair.expected].fields),
            "got": None if pair.got is None else layout.plan[pair.got].to_dict(),
            "agrees": pair.agrees,
            "differences": [difference._asdict() for difference in pair.differences],
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
