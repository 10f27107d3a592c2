"""``spyderresp diff``: what would be done differently, in actions."""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import Any, Final

from spyderresp.cli.output import Streams, safe
from spyderresp.cli.policies import add_deciding_options, engine_of, read_paths
from spyderresp.cli.recorded_events import KINDS, Reading, meant
from spyderresp.cli.render_diff import difference_dict, markdown, text
from spyderresp.cli.render_meaning import meaning_dict, meaning_markdown, meaning_text
from spyderresp.comparison.for_any_event import Options, compare_meanings
from spyderresp.comparison.over_events import Comparison, Difference
from spyderresp.engine import Engine
from spyderresp.errors import EventError
from spyderresp.policy import PolicySet
from spyderresp.recorded.lines import is_surely_normal
from spyderresp.service.lines import to_event

_EPILOG: Final = f"""\
examples:
  spyderresp diff main/policies/ policies/
  spyderresp diff main/policies/ policies/ --events week.jsonl --events 'month/*.parquet'
  spyderresp diff main/policies/ policies/ --events week.jsonl --fail-on destructive --format markdown

a change is destructive where a kill is newly planned, newly executed, or audited where it was superseded or did not
apply

{KINDS}

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
        metavar="EVENTS",
        help="a file of events, a directory, a glob, or - for standard input; may be repeated; without it, what is "
        "different for any event",
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
    paths = meant(args.events or [], "spyderresp diff: error")
    sets = [read_paths([path], streams, strict=args.strict) for path in (args.old, args.new)]
    old, new = sets
    if old is None or new is None:
        return 2
    engines = engine_of(old, args), engine_of(new, args)
    if args.events is None:
        return _any_event(args, *engines, streams)
    comparison = Comparison(*engines, samples=args.samples)
    reading = Reading(_Comparing(comparison, (old, new), args.form), args.form, streams)
    for path in paths:
        reading.read(path)
    found, bad = comparison.result(), reading.bad
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


class _Comparing:
    """Compares what is read."""

    def __init__(self, comparison: Comparison, policies: tuple[PolicySet, PolicySet], form: str | None) -> None:
        self.events = 0
        self._comparison = comparison
        self._policies = policies
        self._form = form

    def wanted(self, tables: Any) -> Any:
        return tables.wanted(self._policies, ("id",), ())

    def line(self, data: bytes, name: str, place: int) -> None:
        again = partial(to_event, data, self._form)
        self._comparison.add_line(data if is_surely_normal(data, self._form) else None, name, place, again)
        self.events += 1

    def record(self, event: Any, name: str, place: int) -> None:
        self._comparison.add(event, name, place, lambda: event)
        self.events += 1

    def batch(self, batch: Any, name: str, first: int, tables: Any) -> None:
        def event(row: int) -> Any:
            found = next(tables.rows(batch.slice(row, 1)))
            if isinstance(found, EventError):
                raise found
            return found

        self._comparison.add_batch(batch, name, first, event)
        self.events += batch.num_rows
