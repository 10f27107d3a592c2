"""``spyderresp plan``: one plan a line for a stream of events."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

from spyderresp.cli.output import CannotGoOnError, Streams, safe
from spyderresp.cli.policies import add_options, make_engine
from spyderresp.cli.records import numbered_lines, opened, to_event
from spyderresp.cli.render_plan import plan_text
from spyderresp.decision._plan import ActionPlan
from spyderresp.errors import EventError

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
_EPILOG: Final = """\
examples:
  spyderresp plan --policies policies/ events.jsonl
  tail -F events.jsonl | spyderresp plan --policies policies/ --format text
  spyderresp plan --policies policies/ --mode audit --form falco alerts.jsonl

a plan in JSON ends with `line`, the line of its event; a bad event is named on standard error

exit codes: 0 fine; 1 some events are bad, all others are planned; 2 a policy cannot be read;
3 wrong usage, or input or output fails"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "plan",
        help="print the action plan of each event",
        description="read events, one JSON object a line, and print the action plan of each",
        epilog=_EPILOG,
    )
    add_options(parser)
    parser.add_argument("--format", choices=("json", "text"), default="json", help="default: json, one plan a line")
    parser.add_argument(
        "events", nargs="?", default="-", metavar="EVENTS.jsonl", help="a file, or - for standard input (default)"
    )


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    name = input_name(args.events)
    engine = make_engine(args, streams)
    if engine is None:
        return 2
    if args.events == "-" and sys.stdin.isatty():
        streams.complain("reading events from the terminal, one JSON object a line; Ctrl-D ends")
    paint = streams.paint()
    bad = 0
    progress = streams.progress("lines")
    try:
        with opened(args.events) as file:
            streams.live(file)
            for line, data in numbered_lines(file):
                try:
                    if isinstance(data, EventError):
                        raise data
                    event = to_event(data.rstrip(b"\r\n"), args.form)
                    plan = engine.evaluate(event)
                    said = json_line(plan, line) if args.format == "json" else plan_text(plan, event, paint, line)
                except EventError as error:
                    bad += 1
                    progress.clear()
                    streams.complain(f"{name}:{line}: error: {safe(str(error))}")
                else:
                    streams.write(said)
                progress.update(line)
    finally:
        progress.clear()
    return 1 if bad else 0


def input_name(path: str) -> str:
    """Return what messages call an input, safe to print.

    Raises:
        CannotGoOnError: it is standard input, and that is closed.
    """
    if path != "-":
        return safe(path)
    if sys.stdin is None:
        raise CannotGoOnError("spyderresp: standard input is closed; name a file")
    return "<stdin>"


def json_line(plan: ActionPlan, line: int) -> str:
    """Return a plan's JSON form with the event's line in its input last, as one line.

    Raises:
        EventError: the event's id nests too deeply to be said.
    """
    try:
        return _encode({**plan.to_dict(), "line": line})
    except RecursionError:
        raise EventError("id", "nested too deeply") from None
