"""``spyderresp check``: is a policy well formed, and what was repaired or noticed while reading it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from spyderresp.cli.output import Streams, safe
from spyderresp.cli.render import counted, diagnostic_text, pages
from spyderresp.errors import Diagnostic, PolicyError
from spyderresp.loading import load
from spyderresp.policy import PolicySet


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "check",
        help="read policies and report errors, warnings and notes",
        description="read policies and report every error, warning and note, in one pass",
        epilog="exit codes: 0 fine, notes or not; 1 warnings; 2 a policy cannot be read; 3 wrong usage",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a policy file or directory")
    parser.add_argument("--strict", action="store_true", help="make each lenient repair an error")
    parser.add_argument(
        "--fail-on", choices=("warning", "error"), default="warning", help="the least level that changes the exit code"
    )
    parser.add_argument("--format", choices=("text", "json", "github"), default="text", help="how to report")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    policies: PolicySet | None
    try:
        policies = load(*args.paths, strict=args.strict)
        diagnostics: Sequence[Diagnostic] = policies.diagnostics
    except PolicyError as error:
        policies, diagnostics = None, error.diagnostics
    {"text": _text, "json": _json, "github": _github}[args.format](policies, diagnostics, streams)
    if policies is None:
        return 2
    return 1 if args.fail_on == "warning" and any(item.level == "warning" for item in diagnostics) else 0


def _text(policies: PolicySet | None, diagnostics: Sequence[Diagnostic], streams: Streams) -> None:
    paint = streams.paint()
    for diagnostic in diagnostics:
        streams.write(diagnostic_text(diagnostic, paint))
    if diagnostics:
        streams.write("")
    found = counted(diagnostics)
    if policies is None:
        streams.write(paint("red", f"cannot be read: {found}"))
    else:
        noun = "policy" if len(policies) == 1 else "policies"
        clean = not any(item.level == "warning" for item in diagnostics)
        streams.write(paint("green" if clean else "yellow", f"{len(policies)} {noun}: {found}"))
    if diagnostics:
        streams.write(f"see {pages(diagnostics)}")


def _json(policies: PolicySet | None, diagnostics: Sequence[Diagnostic], streams: Streams) -> None:
    report = {
        "version": 1,
        "policies": None if policies is None else len(policies),
        "policy_set": None if policies is None else policies.digest,
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
            for item in diagnostics
        ],
    }
    streams.write(json.dumps(report))


def _github(_: PolicySet | None, diagnostics: Sequence[Diagnostic], streams: Streams) -> None:
    """Write workflow commands, escaped as GitHub's own toolkit does."""
    for item in diagnostics:
        level = "notice" if item.level == "note" else item.level
        path, line, column = item.location
        place = f"file={_property(path)}" + (f",line={line},col={column}" if line else "")
        message = item.message + (f" ({item.help})" if item.help else "")
        streams.write(f"::{level} {place},title={item.code}::{_data(safe(message))}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return safe(_data(text)).replace(":", "%3A").replace(",", "%2C")
