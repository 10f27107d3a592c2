"""``spyderresp replay``: what policies would have done with recorded events."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from spyderresp.cli.output import CannotGoOnError, Streams, reason_of, safe
from spyderresp.cli.policies import add_options, make_engine
from spyderresp.cli.recorded_events import KINDS, Reading, meant
from spyderresp.cli.render_replay import report_text
from spyderresp.engine import Engine
from spyderresp.extras import needed
from spyderresp.recorded.lines import decided
from spyderresp.replaying.identity import whom
from spyderresp.replaying.replay import Replay
from spyderresp.replaying.report import report_of

_EPILOG: Final = f"""\
examples:
  spyderresp replay --policies policies/ week.jsonl.gz
  spyderresp replay --policies policies/ --format json 'events/**/*.parquet'
  spyderresp replay --policies policies/ --html week.html week.parquet
  zcat week.jsonl.gz | spyderresp replay --policies policies/ -

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
    parser.add_argument("--engine", choices=("local",), default="local", help="where to decide (default: local)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("--html", metavar="FILE", help="write a page with charts, too (extra `report`)")
    parser.add_argument(
        "paths", nargs="+", metavar="EVENTS", help="a file, a directory, a glob, or - for standard input"
    )


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    paths = meant(args.paths, "spyderresp")
    page = _page() if args.html is not None else None
    engine = make_engine(args, streams)
    if engine is None:
        return 2
    taker = _Replaying(engine, args.form)
    reading = Reading(taker, args.form, streams)
    for path in paths:
        reading.read(path)
    report = report_of(taker.replay, engine.policies.digest, bad=reading.bad)
    if page is not None:
        _write(args.html, page.report_page(report))
    if args.format == "json":
        streams.write(json.dumps(report.to_dict(), indent=2))
    else:
        streams.write(report_text(report, streams.paint()))
    return 1 if reading.bad else 0


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


class _Replaying:
    """Decides what is read, and gathers what comes of it."""

    def __init__(self, engine: Engine, form: str | None) -> None:
        self.replay = Replay()
        self._engine = engine
        self._form = form

    @property
    def events(self) -> int:
        return self.replay.events

    def wanted(self, tables: Any) -> Any:
        policies = self._engine.policies
        return tables.wanted([policies], ("time",), whom(policies))

    def line(self, data: bytes, _name: str, _place: int) -> None:
        self.replay.add(decided(self._engine, data, self._form))

    def record(self, event: Any, _name: str, _place: int) -> None:
        self.replay.add(self._engine.evaluate(event))

    def batch(self, batch: Any, _name: str, _first: int, _tables: Any) -> None:
        self.replay.add_batch(self._engine.evaluate_batch(batch), batch)
