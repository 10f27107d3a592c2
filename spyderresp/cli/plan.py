"""``spyderresp plan``: one plan a line for a stream of events."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from spyderresp.cli.output import Paint, Streams, safe
from spyderresp.cli.policies import add_options, make_engine
from spyderresp.cli.records import numbered_lines, opened, to_event
from spyderresp.errors import EventError
from spyderresp.plan import ActionPlan, PlannedAction

_COLOURS: Final = {"execute": "red", "audit": "yellow", "superseded": "dim", "not_applicable": "dim"}
_LABEL: Final = max(map(len, _COLOURS))


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "plan",
        help="print the action plan of each event",
        description="read events, one JSON object a line, and print the action plan of each",
        epilog="exit codes: 0 fine; 1 some events are bad (named on standard error; all others are planned); "
        "2 a policy cannot be read; 3 wrong usage, or input or output fails",
    )
    add_options(parser)
    parser.add_argument("--format", choices=("json", "text"), default="json", help="for machines or for people")
    parser.add_argument(
        "events", nargs="?", default="-", metavar="EVENTS.jsonl", help="a file, or - for standard input"
    )


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    engine = make_engine(args, streams)
    if engine is None:
        return 2
    paint = streams.paint()
    name = "<stdin>" if args.events == "-" else args.events
    bad = count = 0
    progress = streams.progress("events")
    with opened(args.events) as file:
        for line, data in numbered_lines(file):
            try:
                if isinstance(data, EventError):
                    raise data
                plan = engine.evaluate(to_event(data, args.form))
            except EventError as error:
                bad += 1
                progress.clear()
                streams.complain(f"{safe(name)}:{line}: error: {safe(str(error))}")
                continue
            count += 1
            streams.write(json_line(plan, line) if args.format == "json" else plan_text(plan, line, paint))
            progress.update(count)
    progress.clear()
    if bad:
        streams.complain(f"{bad} bad event{'s' if bad > 1 else ''}; {count} planned")
    return 1 if bad else 0


def json_line(plan: ActionPlan, line: int) -> str:
    """Return a plan's JSON form with the event's line in its input, as one line."""
    return json.dumps({**plan.to_dict(), "line": line}, separators=(",", ":"))


def plan_text(plan: ActionPlan, line: int, paint: Paint) -> str:
    """Return a plan for the person who was woken by it."""
    return "\n".join([*_head(plan, line, paint), *_body(plan, paint), ""])


def _head(plan: ActionPlan, line: int, paint: Paint) -> Iterator[str]:
    name = "event without id" if plan.event is None else f"event {plan.event}"
    when = "" if plan.time is None else f"  {plan.time}"
    yield paint("bold", safe(name)) + safe(f"{when}  (line {line})")
    if plan.target is not None:
        said = _target(plan.target.__getitem__)
        if said:
            yield f"  on {safe(said)}"
    if plan.attribution is not None and plan.attribution[2] != "matched":
        key, value, outcome = plan.attribution
        why = "no policy bears it" if outcome == "unknown" else "every policy that bears it is disabled"
        yield paint("yellow", safe(f"  attributed to {key} {value}, and {why}"))


def _target(value: Callable[[str], object]) -> str:
    """Return where and what: host, pod, process."""
    parts = []
    host = value("machine.hostname") or value("machine.uid")
    if host:
        parts.append(f"host {host}")
    if value("pod.name") or value("pod.kuid") or value("pod.uid"):
        pod = value("pod.name") or value("pod.kuid") or value("pod.uid")
        parts.append(f"pod {value('namespace.name') or '?'}/{pod}")
    if value("process.name") is not None or value("process.pid") is not None:
        pid = "" if value("process.pid") is None else f" pid {value('process.pid')}"
        exe = "" if value("process.exe") is None else f" ({value('process.exe')})"
        parts.append(f"process {value('process.name') or '?'}{pid}{exe}")
    return ", ".join(parts)


def _body(plan: ActionPlan, paint: Paint) -> Iterator[str]:
    for action in plan:
        yield from _action(action, paint)
    fired = {source.policy for action in plan for source in action.sources}
    silent = [name for name in plan.policies if name not in fired]
    if silent:
        yield safe(f"  in scope, and nothing fired: {', '.join(silent)}")
    if not plan.policies:
        yield "  no policy is in scope: nothing to do"


def _action(action: PlannedAction, paint: Paint) -> Iterator[str]:
    label = paint(_COLOURS[action.disposition], f"{action.disposition:<{_LABEL}}")
    parameters = "".join(f" {key}={json.dumps(value)}" for key, value in action.items)
    yield f"  {label}  {action.name}{parameters}"
    indent = " " * (_LABEL + 4)
    if action.reason is not None:
        yield safe(f"{indent}because {action.reason}")
    for source in action.sources:
        yield safe(f"{indent}by {source.policy}, {source.section}[{source.index}], {source.location}")
