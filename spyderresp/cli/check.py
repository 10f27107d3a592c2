"""``spyderresp check``: is a policy well formed, and what was repaired or noticed while reading it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from spyderresp.cli.output import Streams, safe
from spyderresp.cli.render import counted, diagnostic_text, pages, plural
from spyderresp.errors import Diagnostic, PolicyError
from spyderresp.loading import load
from spyderresp.policy import PolicySet

_EPILOG: Final = """\
examples:
  spyderresp check policies/
  spyderresp check --strict --fail-on error policies/ more.yaml
  spyderresp check --format github policies/    # annotations in a workflow

exit codes: 0 fine, notes or not; 1 warnings; 2 a policy cannot be read; 3 wrong usage"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "check",
        help="read policies and report errors, warnings and notes",
        description="read policies and report every error, warning and note, in one pass",
        epilog=_EPILOG,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a policy file or directory")
    parser.add_argument("--strict", action="store_true", help="make each lenient repair an error")
    parser.add_argument(
        "--fail-on",
        choices=("warning", "error"),
        default="warning",
        help="the least level that changes the exit code (default: warning)",
    )
    parser.add_argument("--format", choices=_FORMATS, default="text", help="default: text")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    try:
        policies = load(*args.paths, strict=args.strict)
        report = _Report(len(args.paths), policies, policies.diagnostics)
    except PolicyError as error:
        report = _Report(len(args.paths), None, error.diagnostics)
    _FORMATS[args.format](report, streams)
    if report.policies is None:
        return 2
    return 1 if args.fail_on == "warning" and any(item.level == "warning" for item in report.found) else 0


class _Report(NamedTuple):
    """What one check found: in how many paths, in which policies (None where they cannot be read)."""

    paths: int
    policies: PolicySet | None
    found: Sequence[Diagnostic]


def _text(report: _Report, streams: Streams) -> None:
    paint = streams.paint()
    for diagnostic in report.found:
        streams.write(diagnostic_text(diagnostic, paint) + "\n")
    if report.found:
        streams.write(f"docs: {pages(report.found)}")
    if report.policies is None:
        # How many policies there are is not known where one cannot be read.
        what, colour = plural(report.paths, "path"), "red"
    else:
        count = len(report.policies)
        what = "1 policy" if count == 1 else f"{count:,} policies"
        colour = "yellow" if any(item.level == "warning" for item in report.found) else "green"
    streams.write(paint(colour, f"checked {what}: {counted(report.found)}"))


def _json(report: _Report, streams: Streams) -> None:
    policies = report.policies
    said = {
        "version": 1,
        "policies": None if policies is None else len(policies),
        "digest": None if policies is None else policies.digest,
        "diagnostics": [
            {
                "code": item.code,
                "level": item.level,
                "message": item.message,
                "path": item.location.path,
                "line": item.location.line or None,
                "column": item.location.column or None,
                "help": item.help or None,
            }
            for item in report.found
        ],
    }
    streams.write(json.dumps(said, indent=2))


def _github(report: _Report, streams: Streams) -> None:
    """Write workflow commands, escaped as GitHub's own toolkit does."""
    for item in report.found:
        level = "notice" if item.level == "note" else item.level
        path, line, column = item.location
        place = f"file={_property(path)}" + (f",line={line},col={column}" if line else "")
        message = safe(item.message) + (f"\nhelp: {safe(item.help)}" if item.help else "")
        streams.write(f"::{level} {place},title={item.code}::{_data(message)}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return safe(_data(text)).replace(":", "%3A").replace(",", "%2C")


_FORMATS: Final = {"text": _text, "json": _json, "github": _github}
