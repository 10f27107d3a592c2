"""``spyderresp plan``: prints one plan for each event of a stream."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Final, get_args

from spyderresp.cli.event_input import input_name, open_input
from spyderresp.cli.options import add_options, make_engine
from spyderresp.cli.terminal import Paint, Streams, safe
from spyderresp.decision import ActionPlan, PlannedAction
from spyderresp.errors import EventError
from spyderresp.events.records import numbered_events
from spyderresp.policies.vocabulary import FLAG_TEXTS, NAMESPACE_NAME_LABEL, Disposition

# A plan as text. `plan` and `explain` carry nothing out, so they show `execute` as "would execute".

_SHOWN: Final[dict[str, str]] = {"execute": "would execute"}
_COLOURS: Final[dict[str, str]] = {
    "execute": "red",
    "audit": "yellow",
    "superseded": "dim",
    "not_applicable": "dim",
}
_LABEL: Final = max(map(len, get_args(Disposition)))
_INDENT: Final = " " * (_LABEL + 4)


def plan_text(plan: ActionPlan, event: Mapping[str, Any], paint: Paint, line: int | None = None) -> str:
    """Return a plan as text that ends with an empty line. ``line`` is the event's line in the input."""
    return "\n".join([*_head(plan, event, paint, line), *_body(plan, paint), ""])


def _head(plan: ActionPlan, event: Mapping[str, Any], paint: Paint, line: int | None) -> Iterator[str]:
    # An id can have any type: even a list that is nested too deeply to print.
    name = f"event {plan.event}"
    if not isinstance(plan.event, (str, int, float)):
        name = "event without an id" if plan.event is None else "event with an id that is no text or number"
    when = "" if plan.time is None else f"  {_moment(plan.time)}"
    where = "" if line is None else f"  (line {line})"
    yield paint("bold", safe(name)) + safe(when + where)
    for label, text in _subject(_Event(event)):
        yield _row(label, text, paint)
    if plan.attribution is not None:
        key, value, outcome = plan.attribution
        if outcome == "matched":
            yield _row("attributed", f"{key} {value}", paint)
        else:
            reason = f"no policy here has {key} `{value}`"
            if outcome == "disabled":
                reason = f"every policy with {key} `{value}` is disabled"
            yield paint("red", safe(f"  ATTRIBUTION {outcome.upper()}: {reason}; nothing was decided"))


def _row(label: str, text: str, paint: Paint) -> str:
    return f"  {paint('dim', f'{label:<{_LABEL}}')}  {safe(text)}"


def _moment(time: str | float) -> str:
    """Return a time unchanged; epoch seconds also in RFC 3339 form."""
    if isinstance(time, (int, float)):
        try:
            return f"{datetime.fromtimestamp(time, timezone.utc):%Y-%m-%dT%H:%M:%SZ} ({time})"
        except (ValueError, OverflowError, OSError):
            return str(time)
    return time


class _Event:
    """Reads values of an event by path. A value of an unexpected type counts as absent, because nothing checked it."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._event = event

    def __call__(self, scope: str, *keys: str) -> str:
        """Return the value of the first key that has one, as text; an empty text if no key has one."""
        scope_data = self._event.get(scope)
        if isinstance(scope_data, Mapping):
            for key in keys:
                value = scope_data.get(key)
                if isinstance(value, (str, int, float)) and value != "":
                    return str(value)
        return ""

    def namespace(self) -> str:
        scope_data = self._event.get("namespace")
        labels = scope_data.get("labels") if isinstance(scope_data, Mapping) else None
        label = labels.get(NAMESPACE_NAME_LABEL) if isinstance(labels, Mapping) else None
        return self("namespace", "name") or (label if isinstance(label, str) else "")


def _subject(value: _Event) -> Iterator[tuple[str, str]]:
    """Yield the scopes of an event, such as its pod and its process, each as a label and a text."""
    cluster = value("cluster", "name", "uid")
    host = value("machine", "hostname", "sourceName", "uid")
    yield from _joined("host", [host, cluster and f"cluster {cluster}"]) if host else _joined("cluster", [cluster])
    pod, namespace = value("pod", "name", "kuid", "uid"), value.namespace()
    container, image = value("container", "containerName", "containerID"), value("container", "image")
    pieces = [f"{namespace or '?'}/{pod}" if pod else namespace and f"(unknown) in namespace {namespace}"]
    yield from _joined("pod", pieces)
    yield from _joined("container", [container, image and f"image {image}"])
    yield from _joined("service", [value("service", "name"), value("service", "cgroup")])
    pid, user = value("process", "pid"), value("process", "euser")
    name = value("process", "name")
    yield from _joined("process", [name, pid and f"pid {pid}", value("process", "exe"), user and f"user {user}"])


def _joined(label: str, pieces: list[str]) -> Iterator[tuple[str, str]]:
    text = ", ".join(filter(None, pieces))
    if text:
        yield label, text


def _body(plan: ActionPlan, paint: Paint) -> Iterator[str]:
    for action in plan:
        yield from _action(action, paint)
    fired = {source.policy for action in plan for source in action.sources}
    silent = [name for name in plan.policies if name not in fired]
    if silent:
        yield _row("nothing fired", ", ".join(silent), paint)
    if not plan.policies and (plan.attribution is None or plan.attribution[2] == "matched"):
        yield _row("nothing", "no policy is in scope", paint)


def _action(action: PlannedAction, paint: Paint) -> Iterator[str]:
    shown = _SHOWN.get(action.disposition, action.disposition)
    label = paint(_COLOURS[action.disposition], f"{shown:<{_LABEL}}")
    short = "".join(f" {key}={safe(str(value))}" for key, value in action.items if key not in FLAG_TEXTS)
    yield f"  {label}  {paint('bold', action.name)}{short}"
    if action.reason is not None:
        yield safe(f"{_INDENT}because {action.reason}")
    for source in action.sources:
        yield safe(f"{_INDENT}by {source.policy}, {source.section}[{source.index}], {source.location}")
    for key, value in action.items:
        if key in FLAG_TEXTS:
            yield from _text(key, str(value))


def _text(key: str, text: str) -> Iterator[str]:
    """Yield a text of a policy. If it has several lines, each gets a bar, so that none looks like output of `plan`."""
    lines = text.rstrip("\n").split("\n")
    if len(lines) == 1:
        yield f"{_INDENT}{key}: {safe(lines[0])}"
        return
    yield f"{_INDENT}{key}:"
    for line in lines:
        yield f"{_INDENT}| {safe(line)}".rstrip()


_END: Final = "nothing was carried out"
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
_EPILOG: Final = """\
examples:
  spyderresp plan --policies policies/ events.jsonl
  tail -F events.jsonl | spyderresp plan --policies policies/ --format text
  spyderresp plan --policies policies/ --mode audit --form falco alerts.jsonl

in JSON, the last key of a plan is `line`, the line of its event; the text form ends with "nothing was carried out";
bad events are reported on standard error

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
        with open_input(args.events) as file:
            streams.live(file)
            for line, event in numbered_events(file, args.form):
                try:
                    if isinstance(event, EventError):
                        raise event
                    plan = engine.evaluate(event)
                    text = json_line(plan, line) if args.format == "json" else plan_text(plan, event, paint, line)
                except EventError as error:
                    bad += 1
                    progress.clear()
                    streams.complain(f"{name}:{line}: error: {safe(str(error))}")
                else:
                    streams.write(text)
                progress.update(line)
    finally:
        progress.clear()
    if args.format == "text":
        streams.write(_END)
    return 1 if bad else 0


def json_line(plan: ActionPlan, line: int) -> str:
    """Return a plan as one line of JSON; its last key is the event's line in the input.

    Raises:
        EventError: the event's id is nested too deeply.
    """
    try:
        return _encode({**plan.to_dict(), "line": line})
    except RecursionError:
        raise EventError("id", "nested too deeply") from None
