"""``spyderresp diff``: what would be done differently, in actions."""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import Any, Final

from spyderresp.cli.output import CannotGoOnError, Streams, safe
from spyderresp.cli.plan import input_name
from spyderresp.cli.policies import add_deciding_options, engine_of, read_paths
from spyderresp.cli.records import numbered_lines, opened, to_event
from spyderresp.cli.render_diff import difference_dict, markdown, text
from spyderresp.cli.render_meaning import meaning_dict, meaning_markdown, meaning_text
from spyderresp.comparison.for_any_event import Options, compare_meanings
from spyderresp.comparison.over_events import Comparison, Difference
from spyderresp.engine import Engine
from spyderresp.errors import EventError

_EPILOG: Final = """\
examples:
  spyderresp diff main/policies/ policies/
  spyderresp diff main/policies/ policies/ --events week.jsonl
  spyderresp diff main/policies/ policies/ --events week.jsonl --fail-on destructive --format markdown

a change is destructive where a kill is newly planned, newly executed, or audited where it was superseded or did not
apply

without --events it says which entries fire for other events now, each with an event that shows it

exit codes: 0 no difference, or none that --fail-on names; 1 differences, or bad events; 2 a policy cannot be read;
3 wrong usage, or input or output fails"""
_MOST_SAMPLES: Final = 1_000


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "diff",
        help="say what other policies would do differently",
        description="compare what two policy sets do with events: actions gained, lost, and of another disposition",
        epilog=_EPILOG,
    )
    parser.add_argument("old", metavar="OLD", help="a policy file or directory")
    parser.add_argument("new", metavar="NEW", help="another")
    parser.add_argument(
        "--events",
        action="append",
        metavar="FILE",
        help="events, one JSON object a line, or - for standard input; may be repeated; without it, what is different "
        "for any event",
    )
    add_deciding_options(parser)
    parser.add_argument(
        "--fail-on",
        choices=("any", "destructive"),
        default="any",
        help="the differences that exit with 1 (default: any)",
    )
    parser.add_argument(
        "--samples", type=_samples, default=3, metavar="N", help="events to show of each kind of change (default: 3)"
    )
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text", help="default: text")


def _samples(word: str) -> int:
    if not word.isascii() or not word.isdigit() or len(word) > 9 or int(word) > _MOST_SAMPLES:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {_MOST_SAMPLES:,}, not `{safe(word)}`")
    return int(word)


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    if args.events and args.events.count("-") > 1:
        raise CannotGoOnError("spyderresp diff: error: standard input can be read only once")
    sets = [read_paths([path], streams, strict=args.strict) for path in (args.old, args.new)]
    old, new = sets
    if old is None or new is None:
        return 2
    engines = engine_of(old, args), engine_of(new, args)
    if args.events is None:
        return _any_event(args, *engines, streams)
    comparison = Comparison(*engines, samples=args.samples)
    bad = sum(_read(args, path, comparison, streams) for path in args.events)
    found = comparison.result()
    if args.format == "json":
        streams.write(json.dumps(difference_dict(found, bad=bad, old=old, new=new), indent=2))
    else:
        streams.write(markdown(found, bad) if args.format == "markdown" else text(found, bad, streams.paint()))
    return 1 if bad or _fails(found, args.fail_on) else 0


def _any_event(args: argparse.Namespace, old: Engine, new: Engine, streams: Streams) -> int:
    found = compare_meanings(old, new, Options(args.defaults, args.not_in, args.mode))
    if args.format == "json":
        streams.write(json.dumps(meaning_dict(found, old=old.policies, new=new.policies), indent=2))
    elif args.format == "markdown":
        streams.write(meaning_markdown(found))
    else:
        streams.write(meaning_text(found, streams.paint()))
    if args.fail_on == "destructive":
        return 1 if any(flipped.destructive for flipped in found.flipped) else 0
    return 1 if found.flipped else 0


def _fails(found: Difference, on: str) -> bool:
    return bool(found.destructive if on == "destructive" else found.different)


def _read(args: argparse.Namespace, path: str, comparison: Comparison, streams: Streams) -> int:
    """Compare the events of one file; return how many are bad."""
    name = input_name(path)
    bad = 0
    progress = streams.progress("lines")
    try:
        with opened(path) as file:
            for line, data in numbered_lines(file):
                try:
                    if isinstance(data, EventError):
                        raise data
                    again = partial(to_event, data.rstrip(b"\r\n"), args.form)
                    comparison.add(again(), name, line, again)
                except EventError as error:
                    bad += 1
                    progress.clear()
                    streams.complain(f"{name}:{line}: error: {safe(str(error))}")
                progress.update(line)
    finally:
        progress.clear()
    return bad
