"""``spyderresp check``: are policies well formed, what was repaired, and what will their author not have meant."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from spyderresp.cli.check_formats import FORMATS, Report
from spyderresp.cli.output import CannotGoOnError, Streams, reason_of, safe
from spyderresp.cli.project import find_project
from spyderresp.cli.rewriting import ChangedError, rewrite
from spyderresp.linting.fixing import Fixed, fix_text
from spyderresp.linting.lint import lint
from spyderresp.loading import Reading, read
from spyderresp.policy import PolicySet
from spyderresp.source import Source

_EPILOG: Final = """\
examples:
  spyderresp check policies/
  spyderresp check --strict --fail-on error policies/ more.yaml
  spyderresp check --diff policies/             # what --fix would change
  spyderresp check --fix policies/              # comments stay, plans stay
  spyderresp check --format github policies/    # annotations in a workflow

a comment takes a finding back, with a reason:  # spyderresp: ignore[SR805] every pod has this label

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
    parser.add_argument("--portable", action="store_true", help="note all that the vendor's own command line refuses")
    parser.add_argument("--fix", action="store_true", help="mend files in place where no plan changes by it")
    parser.add_argument("--unsafe-fixes", action="store_true", help="mend what changes the texts of flags, too")
    parser.add_argument("--diff", action="store_true", help="show what would be mended, and change nothing")
    parser.add_argument(
        "--fail-on",
        choices=("warning", "error"),
        help="the least level that changes the exit code (default: warning)",
    )
    parser.add_argument("--config", metavar="FILE", help="instead of the nearest spyderresp.toml or pyproject.toml")
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
    """Mend files in place, and return what was done to each."""
    done = {}
    for source, each in _fixes(read(*paths), unsafe=unsafe):
        try:
            rewrite(Path(source.path), source.text, each.text)
        except ChangedError:
            raise CannotGoOnError(
                f"spyderresp: {safe(source.path)}: it was changed meanwhile, and is left as it is"
            ) from None
        except OSError as error:
            raise CannotGoOnError(f"spyderresp: {safe(source.path)}: cannot be rewritten: {reason_of(error)}") from None
        done[source.path] = each
    return done


def _diff(reading: Reading, streams: Streams, *, unsafe: bool) -> int:
    """Show what fixing would change; 1 where that is anything."""
    changed = _fixes(reading, unsafe=unsafe)
    for source, each in changed:
        lines = difflib.unified_diff(
            source.text.splitlines(), each.text.splitlines(), source.path, f"{source.path} (fixed)", lineterm=""
        )
        for line in lines:
            streams.write(safe(line))
    return 2 if reading.findings.errors else 1 if changed else 0
