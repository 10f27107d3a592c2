"""``spyderresp replay``: what policies would have done with recorded events."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from spyderresp.cli.output import CannotGoOnError, Streams, reason_of, safe
from spyderresp.cli.plan import input_name
from spyderresp.cli.policies import add_options, make_engine
from spyderresp.cli.records import to_event
from spyderresp.cli.render_replay import report_text
from spyderresp.engine import Engine
from spyderresp.errors import EventError
from spyderresp.extras import needed
from spyderresp.recorded.files import RecordedError, damage, files, opened
from spyderresp.recorded.lines import numbered_lines
from spyderresp.replaying.identity import whom
from spyderresp.replaying.replay import Replay
from spyderresp.replaying.report import report_of
from spyderresp.service.lines import converted

_EPILOG: Final = """\
examples:
  spyderresp replay --policies policies/ week.jsonl.gz
  spyderresp replay --policies policies/ --format json 'events/**/*.parquet'
  spyderresp replay --policies policies/ --html week.html week.parquet
  zcat week.jsonl.gz | spyderresp replay --policies policies/ -

files are known by what is in them: JSON lines, plain, gzip or zstd (extra `zstd`); Parquet and Arrow IPC (extra
`arrow`)

nothing is carried out; breakers are those of the default guard, at the events' own times

exit codes: 0 fine; 1 some events are bad, all others are counted; 2 a policy cannot be read;
3 wrong usage, or input or output fails"""
_NORMAL: Final = "normal"


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
    try:
        paths = list(files(args.paths))
    except RecordedError as error:
        raise CannotGoOnError(f"spyderresp: {safe(str(error))}") from None
    page = _page() if args.html is not None else None
    engine = make_engine(args, streams)
    if engine is None:
        return 2
    reader = _Reader(args, engine, streams)
    for path in paths:
        reader.read(path)
    report = report_of(reader.replay, engine.policies.digest, bad=reader.bad)
    if page is not None:
        _write(args.html, page.report_page(report))
    if args.format == "json":
        streams.write(json.dumps(report.to_dict(), indent=2))
    else:
        streams.write(report_text(report, streams.paint()))
    return 1 if reader.bad else 0


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


class _Reader:
    """Reads one file after the other into a replay, and names what is bad on standard error."""

    def __init__(self, args: argparse.Namespace, engine: Engine, streams: Streams) -> None:
        self.replay = Replay()
        self.bad = 0
        self._form: str | None = args.form
        self._engine = engine
        self._streams = streams
        self._progress = streams.progress("events")

    def read(self, path: str) -> None:
        name = input_name(path)
        try:
            with opened(path) as (file, kind):
                if kind == "lines":
                    self._lines(file, name)
                else:
                    self._tables(file, kind, name)
        except RecordedError as error:
            raise CannotGoOnError(f"spyderresp: {name}: {safe(error.reason)}") from None
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = reason_of(error) if error.strerror else str(error).lower()
            raise CannotGoOnError(f"spyderresp: {name}: {safe(reason)}") from None
        except damage() as error:
            raise CannotGoOnError(f"spyderresp: {name}: damaged: {safe(str(error).lower())}") from None
        except ImportError as error:
            raise CannotGoOnError(f"spyderresp: {name}: {safe(str(error))}") from None
        finally:
            self._progress.clear()

    def _lines(self, file: Any, name: str) -> None:
        for line, data in numbered_lines(file):
            try:
                if isinstance(data, EventError):
                    raise data
                self.replay.add(self._engine.evaluate(to_event(data.rstrip(b"\r\n"), self._form)))
            except EventError as error:
                self._complain(name, line, error)
            self._progress.update(self.replay.events)

    def _tables(self, file: Any, kind: Any, name: str) -> None:
        tables = needed("spyderresp.recorded.tables", "arrow", "Parquet and Arrow IPC")
        policies = self._engine.policies
        wanted = tables.wanted([policies], ("time",), whom(policies))
        first = 1
        for batch in tables.batches(file, kind, wanted):
            self._batch(tables, batch, name, first)
            first += batch.num_rows
            self._progress.update(self.replay.events)

    def _batch(self, tables: Any, batch: Any, name: str, first: int) -> None:
        if self._form in (None, _NORMAL) and tables.is_normal(batch.schema):
            try:
                self.replay.add_batch(self._engine.evaluate_batch(batch), batch)
            except EventError:
                pass  # one row or column is bad: row by row it is told which, and the others are decided
            else:
                return
        for row, record in enumerate(tables.rows(batch), first):
            try:
                self.replay.add(self._engine.evaluate(converted(record, self._form)))
            except EventError as error:  # noqa: PERF203 - bad rows stand among good ones
                self._complain(name, row, error)

    def _complain(self, name: str, place: int, error: EventError) -> None:
        self.bad += 1
        self._progress.clear()
        self._streams.complain(f"{name}:{place}: error: {safe(str(error))}")
