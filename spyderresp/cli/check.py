"""``spyderresp check``: reports errors, lenient repairs and probable mistakes in policies, and fixes some of them."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from spyderresp.authoring.lint import lint
from spyderresp.authoring.lint.fixes import Fixed, fix_text
from spyderresp.cli.options import FileChangedError, find_project, rewrite
from spyderresp.cli.terminal import CommandError, Streams, counted, diagnostic_text, pages, plural, reason_of, safe
from spyderresp.errors import Diagnostic, Fix, __version__
from spyderresp.policies.codes import CODES
from spyderresp.policies.diagnostics import Source
from spyderresp.policies.loader import Reading, read
from spyderresp.policies.policy_set import PolicySet

# The output formats of ``check``.

_PAGES: Final = "https://github.com/spyderresp/spyderresp/blob/main/docs/codes"
_SARIF_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


class Report(NamedTuple):
    """The result of one check.

    Attributes:
        paths: the number of paths on the command line.
        policies: the policies; None if there is an error.
        found: all findings, in order.
        sources: the texts of the files, by path.
        fixed: the number of findings that ``--fix`` has fixed.
        changed: the number of files that ``--fix`` has changed.
    """

    paths: int
    policies: PolicySet | None
    found: Sequence[Diagnostic]
    sources: dict[str, Source]
    fixed: int = 0
    changed: int = 0


def _text(report: Report, streams: Streams) -> None:
    paint = streams.paint()
    for diagnostic in report.found:
        streams.write(diagnostic_text(diagnostic, paint) + "\n")
    if report.found:
        streams.write(f"docs: {pages(report.found)}")
    if report.policies is None:
        # The number of policies is unknown if one cannot be read.
        what, colour = plural(report.paths, "path"), "red"
    else:
        what = plural(len(report.policies), "policy")
        colour = "yellow" if any(item.level == "warning" for item in report.found) else "green"
    if report.fixed:
        streams.write(f"fixed {plural(report.fixed, 'finding')} in {plural(report.changed, 'file')}")
    streams.write(paint(colour, f"checked {what}: {counted(report.found)}"))
    safe_fixes = sum(item.fix is not None and item.fix.safe for item in report.found)
    unsafe = sum(item.fix is not None and not item.fix.safe for item in report.found)
    if safe_fixes:
        streams.write(f"`--fix` corrects {safe_fixes:,} of them without changing a plan")
    if unsafe:
        streams.write(f"`--unsafe-fixes` corrects {unsafe:,} of them and changes the texts of flags")


def _json(report: Report, streams: Streams) -> None:
    policies = report.policies
    data = {
        "version": 1,
        "policies": None if policies is None else len(policies),
        "digest": None if policies is None else policies.digest,
        "fixed": report.fixed,
        "diagnostics": [
            {
                "code": item.code,
                "level": item.level,
                "message": item.message,
                "path": item.location.path,
                "line": item.location.line or None,
                "column": item.location.column or None,
                "help": item.help or None,
                "fix": None if item.fix is None else _fix_json(item.fix, report.sources[item.location.path]),
            }
            for item in report.found
        ],
    }
    streams.write(json.dumps(data, indent=2))


def _fix_json(fix: Fix, source: Source) -> dict[str, Any]:
    edits = [{**_region(source, edit.start, edit.end), "text": edit.text} for edit in fix.edits]
    return {"title": fix.title, "safe": fix.safe, "edits": edits}


def _region(source: Source, start: int, end: int) -> dict[str, int]:
    line, column = source.position(start)
    last, stop = source.position(end)
    return {"startLine": line, "startColumn": column, "endLine": last, "endColumn": stop}


def _sarif(report: Report, streams: Streams) -> None:
    """Write SARIF 2.1.0 (OASIS), which code hosts accept."""
    codes = sorted({item.code for item in report.found})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": CODES[code].title},
            "helpUri": f"{_PAGES}/{code}.md",
            "defaultConfiguration": {"level": CODES[code].level},
        }
        for code in codes
    ]
    run = {
        "tool": {
            "driver": {
                "name": "spyderresp",
                "semanticVersion": __version__,
                "informationUri": "https://github.com/spyderresp/spyderresp",
                "rules": rules,
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, codes.index(item.code), report.sources) for item in report.found],
    }
    streams.write(json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2))


def _result(item: Diagnostic, rule: int, sources: dict[str, Source]) -> dict[str, Any]:
    path, line, column = item.location
    artifact = {"uri": _uri(path)}
    location: dict[str, Any] = {"artifactLocation": artifact}
    if line:
        location["region"] = {"startLine": line, "startColumn": column, "endColumn": column + item.width}
    text = item.message + (f"; {item.help}" if item.help else "")
    result: dict[str, Any] = {
        "ruleId": item.code,
        "ruleIndex": rule,
        "level": item.level,
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }
    if item.fix is not None:
        replacements = [
            {"deletedRegion": _region(sources[path], edit.start, edit.end), "insertedContent": {"text": edit.text}}
            for edit in item.fix.edits
        ]
        changes = [{"artifactLocation": artifact, "replacements": replacements}]
        result["fixes"] = [{"description": {"text": item.fix.title}, "artifactChanges": changes}]
    return result


def _uri(path: str) -> str:
    """Return a path as a URI reference; a relative path stays relative to the working directory."""
    posix = PurePath(path).as_posix()
    return quote(f"file://{posix}" if posix.startswith("/") else posix, safe="/:", errors="surrogateescape")


def _github(report: Report, streams: Streams) -> None:
    """Write GitHub workflow commands, escaped as in GitHub's own toolkit."""
    for item in report.found:
        level = "notice" if item.level == "note" else item.level
        path, line, column = item.location
        location = f"file={_property(path)}" + (f",line={line},col={column}" if line else "")
        message = safe(item.message) + (f"\nhelp: {safe(item.help)}" if item.help else "")
        streams.write(f"::{level} {location},title={item.code}::{_data(message)}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return safe(_data(text)).replace(":", "%3A").replace(",", "%2C")


FORMATS: Final[dict[str, Callable[[Report, Streams], None]]] = {
    "text": _text,
    "json": _json,
    "sarif": _sarif,
    "github": _github,
}

_EPILOG: Final = """\
examples:
  spyderresp check policies/
  spyderresp check --strict --fail-on error policies/ more.yaml
  spyderresp check --diff policies/             # what --fix would change
  spyderresp check --fix policies/              # keeps comments and plans
  spyderresp check --format github policies/    # annotations in a workflow

a comment with a reason suppresses a finding:  # spyderresp: ignore[SR805] every pod has this label

exit codes: 0 fine, or only notes; 1 warnings; 2 a policy cannot be read; 3 wrong usage"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "check",
        help="read policies and report errors, warnings and notes",
        description="read policies and report every error, warning and note, in one pass",
        epilog=_EPILOG,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a policy file or directory")
    parser.add_argument("--strict", action="store_true", help="treat each lenient repair as an error")
    parser.add_argument("--portable", action="store_true", help="note what the vendor's own command line rejects")
    parser.add_argument("--fix", action="store_true", help="correct files in place if that changes no plan")
    parser.add_argument("--unsafe-fixes", action="store_true", help="also make corrections that change texts of flags")
    parser.add_argument("--diff", action="store_true", help="show the corrections and change no file")
    parser.add_argument(
        "--fail-on",
        choices=("warning", "error"),
        help="the lowest level of findings that changes the exit code (default: warning)",
    )
    parser.add_argument(
        "--config", metavar="FILE", help="settings, instead of the nearest spyderresp.toml or pyproject.toml"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    project = find_project(Path.cwd(), args.config)
    strict = args.strict or project.strict
    if args.diff:
        return _diff(read(*args.paths), streams, unsafe=args.unsafe_fixes)
    fixed = _fix(args.paths, unsafe=args.unsafe_fixes) if args.fix or args.unsafe_fixes else {}
    reading = read(*args.paths, strict=strict)
    found = lint(reading, portable=args.portable or project.portable, ignored=project.ignores)
    policies = None if reading.findings.errors else PolicySet(reading.policies)
    sources = {source.path: source for source in reading.sources}
    applied = sum(len(each.applied) for each in fixed.values())
    FORMATS[args.format](Report(len(args.paths), policies, found, sources, applied, len(fixed)), streams)
    if policies is None:
        return 2
    fail_on = args.fail_on or project.fail_on
    return 1 if fail_on == "warning" and any(item.level == "warning" for item in found) else 0


def _fixes(reading: Reading, *, unsafe: bool) -> list[tuple[Source, Fixed]]:
    fixed = [(source, fix_text(source.path, source.text, unsafe=unsafe)) for source in reading.sources]
    return [(source, each) for source, each in fixed if each.text != source.text]


def _fix(paths: Sequence[str], *, unsafe: bool) -> dict[str, Fixed]:
    """Fix files in place; return the applied fixes by path."""
    done = {}
    for source, each in _fixes(read(*paths), unsafe=unsafe):
        try:
            rewrite(Path(source.path), source.text, each.text)
        except FileChangedError:
            raise CommandError(
                f"spyderresp: {safe(source.path)}: another program changed the file, so it was not fixed; try again"
            ) from None
        except OSError as error:
            raise CommandError(f"spyderresp: {safe(source.path)}: cannot be rewritten: {reason_of(error)}") from None
        done[source.path] = each
    return done


def _diff(reading: Reading, streams: Streams, *, unsafe: bool) -> int:
    """Show what ``--fix`` would change; return 1 if it would change anything."""
    changed = _fixes(reading, unsafe=unsafe)
    for source, each in changed:
        lines = difflib.unified_diff(
            source.text.splitlines(), each.text.splitlines(), source.path, f"{source.path} (fixed)", lineterm=""
        )
        for line in lines:
            streams.write(safe(line))
    return 2 if reading.findings.errors else 1 if changed else 0
