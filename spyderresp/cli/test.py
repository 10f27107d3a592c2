"""``spyderresp test``: runs policy unit tests and measures their coverage."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from typing import Any, Final

from spyderresp.authoring.testing.checks import Kind, lines_of
from spyderresp.authoring.testing.coverage import WHATS, Coverage
from spyderresp.authoring.testing.report import Report, Result
from spyderresp.authoring.testing.report_formats import junit_text, report_dict
from spyderresp.authoring.testing.runner import run as run_tests
from spyderresp.authoring.testing.suite import Case, Suite
from spyderresp.authoring.testing.suite_files import SuiteFiles, find
from spyderresp.cli.options import watched
from spyderresp.cli.terminal import (
    CommandError,
    Paint,
    Streams,
    counted,
    diagnostic_text,
    pages,
    plural,
    safe,
    write_file,
)
from spyderresp.policies.diagnostics import quoted

# The results of policy tests as text.

_COLOURS: Final[dict[Kind, str]] = {
    "expected": "red",
    "got": "yellow",
    "differs": "yellow",
    "same": "green",
    "detail": "dim",
    "event": "dim",
}


def result_text(result: Result, paint: Paint) -> Iterator[str]:
    """Yield the lines about a test that did not pass."""
    word = "ERROR" if result.status == "error" else "FAILED"
    where = paint("bold", safe(str(result.case.location)))
    yield f"{paint('red', word)} {where}: {safe(full_name(result))}"
    for line in lines_of(result):
        colour, text = _COLOURS.get(line.kind), safe(line.text)
        yield text if colour is None else paint(colour, text)
    yield ""


def full_name(result: Result) -> str:
    """Return the name of a test after the name of its suite."""
    return f"{result.suite.name}: {result.case.name}"


def coverage_text(coverage: Coverage, paint: Paint) -> Iterator[str]:
    """Yield a table of the coverage and a line for each uncovered place."""
    yield ""
    yield paint("bold", f"{'coverage':<10}{'covered':>9}{'of':>7}")
    for what in WHATS:
        yield _row(what, *coverage.counts(what))
    yield _row("all", *coverage.counts())
    if coverage.uncovered:
        yield ""
    for place in coverage.uncovered:
        about = f"{place.policy}: {place.subject}" if place.subject else place.policy
        line = f"{place.location.path}:{place.location.line}"
        yield f"{paint('bold', safe(line))}: {paint('yellow', place.missing)}: {safe(about)}"


def _row(name: str, covered: int, total: int) -> str:
    share = f"{100 * covered / total:.1f} %" if total else "-"
    return f"{name:<10}{covered:>9,}{total:>7,}{share:>10}"


def summary(passed: int, failed: int, errors: int) -> str:
    """Return the number of tests, by result."""
    parts = [
        f"{count:,} {word}" for count, word in ((passed, "passed"), (failed, "failed"), (errors, "not run")) if count
    ]
    return f"{plural(passed + failed + errors, 'test')}: {', '.join(parts) or 'none'}"


_EPILOG: Final = """\
examples:
  spyderresp test tests/
  spyderresp test tests/ -k kube-system --verbose
  spyderresp test tests/ --coverage --min-coverage 90 --junit report.xml
  spyderresp test tests/ --watch

in a directory, files named *.yaml, *.yml and *.json are read; documents that are not of `kind: ResponseTest` are
skipped (docs/TESTING.md)

exit codes: 0 fine; 1 a test failed, or the coverage is too low; 2 a policy or a test file cannot be read;
3 wrong usage, or there is no test to run"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "test",
        help="run policy unit tests, and report their coverage",
        description="run policy tests: events, and the actions that are expected for them",
        epilog=_EPILOG,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a test file, or a directory of them")
    parser.add_argument(
        "-k",
        "--filter",
        action="append",
        metavar="TEXT",
        help="run only tests with this text in `FILE: SUITE: TEST / ROW`, upper or lower case; may be repeated, to run "
        "the tests with any of the texts",
    )
    parser.add_argument("--verbose", action="store_true", help="also list the tests that passed")
    parser.add_argument(
        "--coverage", action="store_true", help="report which policies, actions and clauses were covered"
    )
    parser.add_argument(
        "--min-coverage", type=_percent, metavar="PERCENT", help="exit with 1 if less than this is covered"
    )
    parser.add_argument("--junit", metavar="FILE", help="also write a report in JUnit's XML")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("--watch", action="store_true", help="run again after each change of a file, until Ctrl-C")


def _percent(word: str) -> float:
    try:
        number = float(word.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 100, not {quoted(word)}")
    return number


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    if not args.watch:
        return _once(args, streams)[0]
    for changed in watched(lambda: _watched_once(args, streams)):
        streams.complain(f"changed: {safe(changed)}")
    return 0


def _watched_once(args: argparse.Namespace, streams: Streams) -> tuple[str, ...]:
    try:
        paths = _once(args, streams)[1]
    except CommandError as error:
        streams.complain(str(error))
        paths = tuple(args.paths)
    streams.flush()
    streams.complain("waiting for a change; Ctrl-C ends")
    return paths


def _once(args: argparse.Namespace, streams: Streams) -> tuple[int, tuple[str, ...]]:
    """Run the tests once; return the exit code and the paths of all inputs."""
    suite_files = find(args.paths)
    if suite_files.empty and not suite_files.diagnostics:
        paths = ", ".join(safe(quoted(path)) for path in suite_files.empty)
        raise CommandError(f"spyderresp test: error: no test found in {paths}: no document has `kind: ResponseTest`")
    wanted = [word.casefold() for word in args.filter or ()]

    def chosen(suite: Suite, case: Case) -> bool:
        name = f"{suite.path}: {suite.name}: {case.name}".casefold()
        return not wanted or any(word in name for word in wanted)

    if not suite_files.diagnostics and not any(
        chosen(suite, case) for suite in suite_files.suites for case in suite.cases
    ):
        words = " or ".join(safe(quoted(word)) for word in args.filter)
        raise CommandError(f"spyderresp test: error: no test has {words} in its name")
    report = run_tests(suite_files.suites, chosen=chosen, coverage=args.coverage or args.min_coverage is not None)
    errors = [item for item in (*suite_files.diagnostics, *report.diagnostics) if item.level == "error"]
    code = 2 if errors else 1 if report.count("failed") else 0
    enough = report.coverage is None or args.min_coverage is None or report.coverage.percent >= args.min_coverage
    if args.format == "json":
        streams.write(json.dumps(report_dict(report, errors), indent=2))
    else:
        _text(args, suite_files, report, streams)
    if errors:
        paint = streams.paint(errors=True)
        for item in errors:
            streams.complain(diagnostic_text(item, paint))
        streams.complain(f"some files cannot be read: {counted(errors)}; see {pages(errors)}")
    if report.coverage is not None and not enough:
        # Rounded down, so that an insufficient percentage is not shown as the required one.
        percent = f"{math.floor(10 * report.coverage.percent) / 10:.1f} %"
        required = f"the {args.min_coverage:g} % of `--min-coverage`"
        streams.complain(f"spyderresp test: {percent} is covered, less than {required}")
    if args.junit is not None:
        write_file(args.junit, junit_text(report, suite_files.diagnostics))
    inputs = [path for suite in suite_files.suites for path in (*suite.policies, *suite.inputs)]
    return code or int(not enough), (*args.paths, *dict.fromkeys(inputs))


def _text(args: argparse.Namespace, suite_files: SuiteFiles, report: Report, streams: Streams) -> None:
    paint = streams.paint()
    for path in suite_files.files:
        file_results = [result for result in report.results if result.suite.path == path]
        if args.verbose:
            for result in file_results:
                if result.status == "passed":
                    where = safe(f"{result.case.location}: {result.suite.name}: {result.case.name}")
                    streams.write(f"{paint('green', 'passed')} {where}")
        for result in file_results:
            if result.status != "passed":
                for line in result_text(result, paint):
                    streams.write(line)
    if report.coverage is not None:
        for line in coverage_text(report.coverage, paint):
            streams.write(line)
        streams.write("")
    failed, errors = report.count("failed"), report.count("error")
    colour = "red" if failed or errors else "green"
    streams.write(paint(colour, summary(report.count("passed"), failed, errors)))
