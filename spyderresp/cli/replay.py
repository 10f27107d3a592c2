"""``spyderresp replay``: totals what policies would have done with recorded events."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from spyderresp.authoring.replay.report import Line, Report, moment, width_text
from spyderresp.cli.event_input import KINDS, EventReader, selected_files
from spyderresp.cli.options import add_options, make_engine
from spyderresp.cli.terminal import CommandError, Paint, Streams, plural, safe, write_file
from spyderresp.decision.engine import Engine
from spyderresp.errors import needs_extra
from spyderresp.events.files import STDIN

if TYPE_CHECKING:
    from spyderresp.authoring.replay.totals import Replay

# The report as text.

_SHOWN: Final = 20
_BAR: Final = 40
_DISPOSITIONS: Final = ("execute", "audit", "superseded", "not_applicable")
_LONGEST: Final = 56


def report_text(report: Report, paint: Paint) -> str:
    """Return a report as text."""
    return "\n".join(_lines(report, paint))


def _lines(report: Report, paint: Paint) -> Iterator[str]:
    yield paint("bold", "; ".join(_head(report)))
    yield ""
    yield from _table(paint, "actions", ("action",), report.actions)
    yield from _table(paint, "policies", ("policy",), report.policies)
    yield from _table(paint, "entries", ("policy", "section", "index", "action"), report.entries)
    yield paint("bold", "would have died")
    for name, deaths in (("pods", report.pods), ("processes", report.processes)):
        yield f"  {name:<12}{deaths.executed:>12,}   and {deaths.audited:,} more if no policy were in audit mode"
    if report.unknown:
        yield f"  {plural(report.unknown, 'kill')} of targets that cannot be identified"
    for target in report.targets:
        where = "" if target.namespace is None else f" in {target.namespace}"
        kind = "pod" if target.pod else "process"
        times = f"{target.executed:,} executed, {target.audited:,} audited"
        yield f"  {kind} {safe(_cut(target.name + where))}: {times}"
    yield ""
    yield paint("bold", "breakers")
    broken = report.broken
    yield f"  {plural(broken.refused, 'kill')} refused, {broken.allowed:,} allowed"
    for trip in broken.openings[:_SHOWN]:
        counts = f"more than {trip.limit} targets, {trip.refused:,} refused"
        yield f"  {moment(trip.time)}  {safe(_cut(trip.name))}: {counts}"
    if len(broken.openings) > _SHOWN:
        yield f"  and {len(broken.openings) - _SHOWN:,} more"
    if report.buckets:
        yield ""
        yield paint("bold", f"events by {width_text(report.width)}")
        shown = report.buckets[-_SHOWN:]
        if len(shown) < len(report.buckets):
            yield f"  {len(report.buckets) - len(shown):,} earlier ones are not shown"
        most = max(bucket.events for bucket in shown)
        for bucket in shown:
            kills = sum(n for (name, what), n in bucket.actions.items() if "Kill" in name and what == "execute")
            bar = "#" * max(1, round(_BAR * bucket.events / most))
            yield f"  {moment(bucket.start)}  {bucket.events:>9,}  {kills:>7,} kills  {bar}"


def _head(report: Report) -> Iterator[str]:
    yield f"{plural(report.events, 'event')} decided, {report.acted:,} with an action"
    if report.bad:
        yield f"{report.bad:,} bad"
    if report.timeless:
        yield f"{report.timeless:,} without a time"


def _table(paint: Paint, title: str, keys: Sequence[str], lines: Sequence[Line]) -> Iterator[str]:
    head = f"{title:<{_LONGEST}}" + "".join(f"{word.replace('_', ' '):>15}" for word in _DISPOSITIONS)
    yield paint("bold", head)
    for line in lines[:_SHOWN]:
        name = safe(_cut(_name(line, keys), _LONGEST - 2))
        yield f"  {name:<{_LONGEST - 2}}" + "".join(f"{line.dispositions.get(word, 0):>15,}" for word in _DISPOSITIONS)
    if len(lines) > _SHOWN:
        yield f"  and {len(lines) - _SHOWN:,} more"
    yield ""


def _name(line: Line, keys: Sequence[str]) -> str:
    if len(keys) == 1:
        return str(line.what[keys[0]])
    entry = line.what
    return f"{entry['policy']}, {entry['section']}[{entry['index']}] {entry['action']}"


def _cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."


_EPILOG: Final = f"""\
examples:
  spyderresp replay --policies policies/ week.jsonl.gz
  spyderresp replay --policies policies/ --format json 'events/**/*.parquet'
  spyderresp replay --policies policies/ --html week.html week.parquet
  zcat week.jsonl.gz | spyderresp replay --policies policies/ -
  spyderresp replay --engine dask --policies policies/ /shared/events/

{KINDS}

nothing is carried out; the breakers are those of the default guard and use the times of the events

exit codes: 0 fine; 1 some events are bad, all others are counted; 2 a policy cannot be read;
3 wrong usage, or input or output fails"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "replay",
        help="report what policies would have done with recorded events",
        description="decide recorded events, and count the planned actions by policy, entry, action, target and time",
        epilog=_EPILOG,
    )
    add_options(parser)
    parser.add_argument(
        "--engine",
        choices=("local", "dask", "spark"),
        default="local",
        help="read and decide in this process (default), or on the workers of another engine, one file each",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="the address of Dask's scheduler or a Spark Connect server, or Spark's master",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("--html", metavar="FILE", help="also write a page with charts (extra `report`)")
    parser.add_argument(
        "paths", nargs="+", metavar="EVENTS", help="a file, a directory, a glob, or - for standard input"
    )


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    if args.cluster is not None and args.engine == "local":
        raise CommandError("spyderresp: --cluster needs --engine dask or --engine spark")
    paths = selected_files(args.paths, "spyderresp")
    replaying = _module("replay_pieces", "arrow", "replay")
    page = _module("replay_page", "report", "--html") if args.html is not None else None
    engine = make_engine(args, streams)
    if engine is None:
        return 2
    read = _read_here if args.engine == "local" else _read_elsewhere
    replay, bad = read(replaying, args, engine, paths, streams)
    report = replaying.report_of(replay, engine.policies.digest, bad=bad)
    if page is not None:
        write_file(args.html, page.report_page(report))
    if args.format == "json":
        streams.write(json.dumps(report.to_dict(), indent=2))
    else:
        streams.write(report_text(report, streams.paint()))
    return 1 if bad else 0


def _module(name: str, extra: str, what: str) -> Any:
    """Return a module of this package that needs an extra.

    Raises:
        CommandError: the extra is not installed.
    """
    try:
        with needs_extra(extra, what):
            return importlib.import_module(f"spyderresp.cli.{name}")
    except ImportError as error:
        raise CommandError(f"spyderresp: {safe(str(error))}") from None


def _read_here(
    replaying: Any, args: argparse.Namespace, engine: Engine, paths: list[str], streams: Streams
) -> tuple[Replay, int]:
    """Replay the files here; return the totals and the number of bad events."""
    consumer = replaying.Replaying(engine, args.form)
    reader = EventReader(consumer, args.form, streams)
    for path in paths:
        reader.read(path)
    return consumer.replay, reader.bad


def _read_elsewhere(
    replaying: Any, args: argparse.Namespace, engine: Engine, paths: list[str], streams: Streams
) -> tuple[Replay, int]:
    """Replay the files on the workers of another engine; return the totals and the number of bad events."""
    if STDIN in paths:
        raise CommandError(f"spyderresp: --engine {args.engine}: workers cannot read standard input")
    module = _module(f"replay_{args.engine}", args.engine, f"--engine {args.engine}")
    task = replaying.ReplayTask(engine, args.form, [(path, os.path.abspath(path)) for path in paths])
    replay, bad = replaying.Replay(), 0
    progress = streams.progress("events")
    try:
        with contextlib.closing(module.pieces(task, args.cluster)) as pieces:
            for piece in pieces:
                progress.clear()
                streams.say(piece.messages)
                if piece.failed is not None:
                    raise CommandError(piece.failed)
                replay.add_part(piece.part)
                bad += piece.bad
                progress.update(replay.events)
    except module.FAILURES as error:
        raise CommandError(f"spyderresp: --engine {args.engine}: {safe(str(error).partition(chr(10))[0])}") from None
    progress.clear()
    return replay, bad
