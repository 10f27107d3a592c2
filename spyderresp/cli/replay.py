"""``spyderresp replay``: what policies would have done with recorded events."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from pathlib import Path
from typing import Any, Final

from spyderresp.cli.output import CannotGoOnError, Streams, reason_of, safe
from spyderresp.cli.policies import add_options, make_engine
from spyderresp.cli.recorded_events import KINDS, Reading, meant
from spyderresp.cli.render_replay import report_text
from spyderresp.cli.replay_reading import Replaying
from spyderresp.cli.replay_sent import Work
from spyderresp.engine import Engine
from spyderresp.extras import needed
from spyderresp.recorded.files import STDIN
from spyderresp.replaying.replay import Replay
from spyderresp.replaying.report import report_of

_EPILOG: Final = f"""\
examples:
  spyderresp replay --policies policies/ week.jsonl.gz
  spyderresp replay --policies policies/ --format json 'events/**/*.parquet'
  spyderresp replay --policies policies/ --html week.html week.parquet
  zcat week.jsonl.gz | spyderresp replay --policies policies/ -
  spyderresp replay --engine dask --policies policies/ /shared/events/

{KINDS}

nothing is carried out; breakers are those of the default guard, at the events' own times

exit codes: 0 fine; 1 some events are bad, all others are counted; 2 a policy cannot be read;
3 wrong usage, or input or output fails"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "replay",
        help="say what policies would have done with recorded events",
        description="decide recorded events, and total what comes of it: by policy, entry, action, target and time",
        epilog=_EPILOG,
    )
    add_options(parser)
    parser.add_argument(
        "--engine",
        choices=("local", "dask", "spark"),
        default="local",
        help="who reads and decides: this process (default), or the workers of another engine, a file each",
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="of Dask's scheduler, of a Spark Connect server, or Spark's master"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("--html", metavar="FILE", help="write a page with charts, too (extra `report`)")
    parser.add_argument(
        "paths", nargs="+", metavar="EVENTS", help="a file, a directory, a glob, or - for standard input"
    )


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    if args.cluster is not None and args.engine == "local":
        raise CannotGoOnError("spyderresp: --cluster needs --engine dask or --engine spark")
    paths = meant(args.paths, "spyderresp")
    page = _page() if args.html is not None else None
    engine = make_engine(args, streams)
    if engine is None:
        return 2
    read = _read_here if args.engine == "local" else _read_elsewhere
    replay, bad = read(args, engine, paths, streams)
    report = report_of(replay, engine.policies.digest, bad=bad)
    if page is not None:
        _write(args.html, page.report_page(report))
    if args.format == "json":
        streams.write(json.dumps(report.to_dict(), indent=2))
    else:
        streams.write(report_text(report, streams.paint()))
    return 1 if bad else 0


def _page() -> Any:
    """Return the module that makes pages, before hours of replaying show that it is missing."""
    try:
        return needed("spyderresp.cli.replay_page", "report", "--html")
    except ImportError as error:
        raise CannotGoOnError(f"spyderresp: {safe(str(error))}") from None


def _write(name: str, text: str) -> None:
    try:
        Path(name).write_text(text, "utf-8")
    except OSError as error:
        raise CannotGoOnError(f"spyderresp: {safe(name)}: cannot be written: {reason_of(error)}") from None


def _read_here(args: argparse.Namespace, engine: Engine, paths: list[str], streams: Streams) -> tuple[Replay, int]:
    """Return what the files come to, and how many events are bad; name these on standard error."""
    taker = Replaying(engine, args.form)
    reading = Reading(taker, args.form, streams)
    for path in paths:
        reading.read(path)
    return taker.replay, reading.bad


def _read_elsewhere(args: argparse.Namespace, engine: Engine, paths: list[str], streams: Streams) -> tuple[Replay, int]:
    """Return the same, read by the workers of another engine."""
    if STDIN in paths:
        raise CannotGoOnError(f"spyderresp: --engine {args.engine}: workers cannot read standard input")
    try:
        module = needed(f"spyderresp.cli.replay_on_{args.engine}", args.engine, f"--engine {args.engine}")
    except ImportError as error:
        raise CannotGoOnError(f"spyderresp: {safe(str(error))}") from None
    work = Work(engine, args.form, [(path, os.path.abspath(path)) for path in paths])
    replay, bad = Replay(), 0
    progress = streams.progress("events")
    try:
        with contextlib.closing(module.pieces(work, args.cluster)) as pieces:
            for piece in pieces:
                progress.clear()
                streams.say(piece.said)
                if piece.failed is not None:
                    raise CannotGoOnError(piece.failed)
                replay.add_part(piece.part)
                bad += piece.bad
                progress.update(replay.events)
    except module.FAILURES as error:
        raise CannotGoOnError(f"spyderresp: --engine {args.engine}: {safe(str(error).partition(chr(10))[0])}") from None
    progress.clear()
    return replay, bad
