"""``spyderresp bench``: measures how fast the given policies decide the given events on this machine."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from typing import Any, Final

from spyderresp.authoring import bench
from spyderresp.cli.event_input import input_name, open_input
from spyderresp.cli.options import add_options, engine_of, read_policies
from spyderresp.cli.terminal import CommandError, Streams, safe
from spyderresp.decision.engine import Engine
from spyderresp.errors import EventError
from spyderresp.events.records import numbered_events

_MOST_EVENTS: Final = 100_000
_LABEL: Final = 16
_EPILOG: Final = """\
examples:
  spyderresp bench --policies policies/ events.jsonl
  spyderresp bench --policies policies/ --form falco --format json --seconds 10 alerts.jsonl

to compare two runs, make both on the same machine while nothing else runs there

exit codes: 0 fine; 1 some events are bad, the others are measured; 2 a policy cannot be read;
3 wrong usage, no event to measure, or input or output fails"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "bench",
        help="measure how fast policies decide events",
        description="measure how fast policies are read, and how fast each method of the engine decides the events",
        epilog=_EPILOG,
    )
    add_options(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument(
        "--seconds", type=_seconds, default=2.0, metavar="N", help="how long to measure each method (default: 2)"
    )
    parser.add_argument("events", metavar="EVENTS.jsonl", help="a file, or - for standard input")


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not `{safe(word)}`")
    return seconds


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    name = input_name(args.events)
    sizes, moments = [bench.resident()], [time.process_time()]
    policies = read_policies(args, streams)
    if policies is None:
        return 2
    sizes.append(bench.resident())
    moments.append(time.process_time())
    engine = engine_of(policies, args)
    sizes.append(bench.resident())
    moments.append(time.process_time())
    texts, bad = _texts(args, name, engine, streams)
    if not texts:
        raise CommandError(f"spyderresp bench: {name}: no event to measure")
    report: dict[str, Any] = {
        "version": 1,
        "policy_set": policies.digest,
        "policies": len(policies),
        "load": {"cpu_seconds": moments[1] - moments[0], "resident_bytes": _grown(sizes[0], sizes[1])},
        "compile": {"cpu_seconds": moments[2] - moments[1], "resident_bytes": _grown(sizes[1], sizes[2])},
        **_measured(engine, texts, bad, args.seconds),
    }
    streams.write(json.dumps(report, indent=2) if args.format == "json" else _text(report))
    return 1 if bad else 0


def _texts(args: argparse.Namespace, name: str, engine: Engine, streams: Streams) -> tuple[list[bytes], int]:
    """Return the first good events as JSON in the normal form, and the number of bad events before the last of them."""
    texts: list[bytes] = []
    bad = 0
    with open_input(args.events) as file:
        for line, event in numbered_events(file, args.form):
            try:
                if isinstance(event, EventError):
                    raise event
                engine.evaluate(event)
                texts.append(_encoded(event))
            except EventError as error:
                bad += 1
                streams.complain(f"{name}:{line}: error: {safe(str(error))}")
            if len(texts) == _MOST_EVENTS:
                streams.complain(f"only the first {_MOST_EVENTS:,} events of {name} are measured")
                break
    return texts, bad


def _encoded(event: Any) -> bytes:
    try:
        return json.dumps(event, separators=(",", ":")).encode()
    except RecursionError:
        raise EventError("", "nested too deeply") from None


def _measured(engine: Engine, texts: list[bytes], bad: int, seconds: float) -> dict[str, Any]:
    totals = bench.answers(engine, texts)
    before = engine.stats()
    cost = bench.evaluate(engine, texts, seconds)
    rates = bench.hit_rates(before, engine.stats())
    batch = bench.evaluate_batch(engine, texts, seconds)
    return {
        "events": {**asdict(totals), "bad": bad},
        "evaluate": asdict(cost),
        "evaluate_json": asdict(bench.evaluate_json(engine, texts, seconds)),
        "evaluate_batch": {"not_run": batch} if isinstance(batch, str) else asdict(batch),
        "hit_rates": rates,
        "stats": engine.stats(),
    }


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _text(report: dict[str, Any]) -> str:
    events, count = report["events"], report["events"]["events"]
    lines = [
        ("policies", f"{report['policies']:,}"),
        ("load", _stage(report["load"])),
        ("compile", _stage(report["compile"])),
        ("events", f"{count:,}" + (f", and {events['bad']:,} bad" if events["bad"] else "")),
        (
            "an event has",
            f"{events['in_scope'] / count:.2f} policies in scope, {events['actions'] / count:.2f} actions",
        ),
        *((way, _cost(report[way])) for way in ("evaluate", "evaluate_json", "evaluate_batch")),
        ("answered from", ", ".join(f"{memo} {rate:.1%}" for memo, rate in report["hit_rates"].items()) or "nowhere"),
    ]
    return "\n".join(f"{label:<{_LABEL}}{text}" for label, text in lines)


def _stage(stage: dict[str, Any]) -> str:
    grown = stage["resident_bytes"]
    memory = "" if grown is None else f", {grown / 2**20:.1f} MiB"
    return f"{stage['cpu_seconds'] * 1e3:,.1f} ms{memory}"


def _cost(cost: dict[str, Any]) -> str:
    if "not_run" in cost:
        return f"not measured: {safe(cost['not_run'])}"
    text = f"{cost['cpu_ns'] / 1e3:.2f} us an event"
    if cost["median_ns"] is not None:
        text += f"; on the clock {cost['median_ns'] / 1e3:.2f} us, 99 % within {cost['p99_ns'] / 1e3:.2f} us"
    return text
