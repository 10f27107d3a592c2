"""What became of policy tests, as text for the person who has to find out why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spyderresp.cli.output import Paint, safe
from spyderresp.cli.render import plural
from spyderresp.testing.coverage import WHATS, Coverage
from spyderresp.testing.report import Result
from spyderresp.testing.wording import Kind, lines_of

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
    """Return the name of a test with that of its suite."""
    return f"{result.suite.name}: {result.case.name}"


def coverage_text(coverage: Coverage, paint: Paint) -> Iterator[str]:
    """Yield a table of what is covered, and each place that is not."""
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
    """Return how many tests there were of each kind."""
    said = [
        f"{count:,} {word}" for count, word in ((passed, "passed"), (failed, "failed"), (errors, "not run")) if count
    ]
    return f"{plural(passed + failed + errors, 'test')}: {', '.join(said) or 'none'}"
