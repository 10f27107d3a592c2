"""``spyderresp journal``: shows what was done and refused, and verifies that the journal was not altered."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Final

from spyderresp.cli.terminal import CommandError, Paint, Streams, plural, safe
from spyderresp.events.timestamps import epoch_seconds
from spyderresp.execution.interfaces import JournalError
from spyderresp.execution.steps import Step
from spyderresp.execution.undo import UNDO
from spyderresp.executors.dry_run import target_text
from spyderresp.journal.hash_chain import Entry
from spyderresp.journal.queries import JournalReader
from spyderresp.journal.verification import verify
from spyderresp.policies.vocabulary import FLAGS

# A journal as text.

_COLOURS: Final = {
    "done": "green",
    "refused": "yellow",
    "expired": "yellow",
    "mismatch": "yellow",
    "incomplete": "red",
    "failed": "red",
    "unsupported": "red",
    "open": "red",
}
_INDENT: Final = " " * 22
_LABEL: Final = 14
_FACTS: Final = 6
#: The number of digits of a step's key that are shown; enough to identify it.
SHOWN: Final = 12
# `target_text` describes a process only for an action on a process.
_OF_A_PROCESS: Final = "agentKillProcess"


def moment(seconds: float) -> str:
    """Return a time in the form ``2026-11-24T01:02:03Z``."""
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def step_text(time: float, step: Step, body: Mapping[str, Any], paint: Paint) -> str:
    """Return the lines about a step and its outcome.

    Args:
        time: the time of the outcome in epoch seconds.
        step: the step.
        body: the body of the outcome's entry; ``{"outcome": "open"}`` for an open step.
        paint: the colours.
    """
    status = str(body["outcome"])
    label = paint(_COLOURS.get(status, "dim"), f"{safe(status):<{_LABEL}}")
    return "\n".join([f"{moment(time)}  {label}{safe(_what(step))}", *_more(step, body, paint)])


def bare_text(entry: Entry, paint: Paint) -> str:
    """Return the lines about an outcome whose intent is in a missing segment."""
    body = entry.body
    label = paint(_COLOURS.get(body["outcome"], "dim"), f"{safe(body['outcome']):<{_LABEL}}")
    summary = f"{body['action']} for event {body['event']}, by {', '.join(body['policies'])}: {body.get('reason', '')}"
    return (
        f"{moment(entry.time)}  {label}{safe(summary)}\n{_INDENT}{paint('dim', f'step {safe(str(entry.key)[:SHOWN])}')}"
    )


def _what(step: Step) -> str:
    if step.action in FLAGS:
        subject = target_text(replace(step, action=_OF_A_PROCESS))
        about = "" if step.value("process.pid") is None else f" about {subject}"
        return f"{step.action} {step.parameters.get('severity', '')}{about}"
    if step.action == UNDO:
        subject = target_text(replace(step, action=_OF_A_PROCESS))
        return f"{UNDO} of step {step.parameters.get('of')!s:.{SHOWN}}: {subject}"
    more = "".join(f" {name}={value}" for name, value in step.items)
    return f"{step.action}{more} {target_text(step)}"


def _more(step: Step, body: Mapping[str, Any], paint: Paint) -> Iterator[str]:
    reason = ": ".join(str(body[key]) for key in ("rule", "reason") if body.get(key))
    if reason:
        yield f"{_INDENT}{safe(reason)}"
    for source in step.sources:
        where = f"{source.policy}, {source.section}[{source.index}], {source.location}"
        yield f"{_INDENT}{paint('dim', 'by')} {safe(where)}"
    text_parts = [f"event {step.event}" if step.event is not None else "event without an id"]
    host = step.value("machine.hostname") or step.value("machine.uid")
    text_parts += [f"on {host}"] if host else []
    text_parts += [f"executor {body['executor']}"] if body.get("executor") else []
    yield f"{_INDENT}{paint('dim', safe(', '.join(text_parts)))}"
    details = body.get("details")
    if isinstance(details, Mapping):
        for name, value in list(details.items())[:_FACTS]:
            text = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else value
            yield f"{_INDENT}{paint('dim', safe(f'{name}: {text}'))}"
    yield f"{_INDENT}{paint('dim', f'step {safe(step.key[:SHOWN])}')}"


def entry_text(entry: Entry, paint: Paint) -> str:
    """Return the line about an entry that belongs to no step."""
    body = entry.body
    colour, summary = _entry_summary(entry.kind, body)
    return f"{moment(entry.time)}  {paint(colour, f'{safe(entry.kind):<{_LABEL}}')}{safe(summary)}"


def _entry_summary(kind: str, body: Mapping[str, Any]) -> tuple[str, str]:
    if kind == "start":
        guest = " while another process owned it" if body.get("guest") else ""
        return "dim", f"process {body['process']} opened the journal{guest}, release {body['version']}"
    if kind == "stop":
        return "dim", "the journal was closed"
    if kind == "clock":
        return "yellow", f"the wall clock jumped by {body['seconds']:+} s"
    if kind == "policies":
        where = ", ".join(body["paths"])
        if body["reason"]:
            return "red", f"{where}: rejected: {body['reason']}"
        return "dim", f"{body['policies']} of {where}, digest {body['digest']}"
    if kind == "delivery":
        return "dim", f"`{body['sink']}` accepted {plural(len(body['flags']), 'flag')}"
    if kind == "dead_letter":
        return "red", f"`{body['sink']}` rejected flag {body['record'].get('id')} for good: {body['reason']}"
    dropped = sum(body["outcomes"].values())
    return "red", f"{plural(dropped, 'outcome')} of steps without an intent were dropped: {body['outcomes']}"


_ENDINGS: Final = ("outcome", "settled")
_AGO: Final = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# The options that only one of the commands accepts: option and attribute.
_OWN: Final = {
    "show": (("--event", "event"), ("--policy", "policy"), ("--since", "since")),
    "verify": (("--expect", "expect"), ("--archived", "archived")),
}
_EPILOG: Final = """\
examples:
  spyderresp journal show journal.sqlite --since 1h
  spyderresp journal show journal.sqlite --policy web-containers --format json
  spyderresp journal verify journal.sqlite

both work while a service writes, and also read the older segments

exit codes: 0 fine; 1 `verify` found an entry that is altered, missing or moved; 3 wrong usage, or the journal cannot be
read"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "journal",
        help="show a journal, or verify that it was not altered",
        description="show which steps were carried out or refused, and why; or verify that the journal was not altered",
        epilog=_EPILOG,
    )
    parser.add_argument("what", choices=tuple(_OWN), help="show the journal, or verify it")
    parser.add_argument("path", metavar="PATH", help="the journal's file")
    parser.add_argument("--event", metavar="ID", help="show: only the steps of this event")
    parser.add_argument("--policy", metavar="NAME", help="show: only the steps that this policy planned")
    parser.add_argument(
        "--since", metavar="TIME", help="show: only entries since this time: RFC 3339, or 30m, 12h or 7d ago"
    )
    parser.add_argument(
        "--expect", metavar="DIGEST", help="verify: the chain must contain this digest from an earlier `verify`"
    )
    parser.add_argument(
        "--archived",
        action="store_true",
        help="verify: older segments may be missing, because they were moved away on purpose",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    for what, options in _OWN.items():
        for option, name in options:
            if what != args.what and getattr(args, name):
                raise CommandError(f"spyderresp journal: error: {option} belongs to `journal {what}`")
    try:
        return _show(args, streams) if args.what == "show" else _verify(args, streams)
    except JournalError as error:
        raise CommandError(f"spyderresp journal: error: {safe(str(error))}") from None


def _show(args: argparse.Namespace, streams: Streams) -> int:
    since = _since(args.since)
    paint = streams.paint()
    with JournalReader(args.path) as reader:
        selected = _StepFilter(args.event, args.policy)
        for entry in reader.entries(missing=True):
            text = _entry_output(entry, selected, since, None if args.format == "json" else paint)
            if text is not None:
                streams.write(text)
        if args.format == "text":
            for moment, step in selected.open():
                if moment >= since:
                    streams.write(step_text(moment, step, {"outcome": "open", "reason": _OPEN}, paint))
    return 0


def _entry_output(entry: Entry, selected: _StepFilter, since: float, paint: Paint | None) -> str | None:
    """Return the output for an entry: JSON if ``paint`` is None, else text. None if the entry is not shown."""
    try:
        is_selected = selected(entry) and entry.time >= since
        text = None if not is_selected else _json(entry) if paint is None else _text(entry, selected, paint)
        selected.forget(entry)
    except (KeyError, TypeError, ValueError):
        if paint is None:
            return _json(entry, readable=False)
        return f"entry {entry.seq} cannot be read; `spyderresp journal verify` gives details"
    return text


_OPEN: Final = "begun, outcome not recorded yet: under way, or checked at the next start of the service"


@dataclass
class _StepFilter:
    """Tracks the steps of the entries and selects entries by event and policy."""

    event: str | None
    policy: str | None
    steps: dict[str, Step] = field(default_factory=dict)
    open_since: dict[str, float] = field(default_factory=dict)

    def __call__(self, entry: Entry) -> bool:
        if entry.key is None:
            return self.event is None and self.policy is None
        body = entry.body
        if "step" in body:
            self.steps[entry.key] = Step.from_dict(body["step"])
        if entry.kind == "intent":
            self.open_since[entry.key] = entry.time
        elif entry.kind == "outcome":
            self.open_since.pop(entry.key, None)
        return self._wants(entry.key, body)

    def _wants(self, key: str, body: dict[str, Any]) -> bool:
        step = self.steps.get(key)
        event, policies = (step.event, step.policies) if step else (body.get("event"), body.get("policies", ()))
        return (self.event is None or str(event) == self.event) and (self.policy is None or self.policy in policies)

    def forget(self, entry: Entry) -> None:
        """Drop the state of a step that has ended. An accepted agent action stays: its final outcome follows."""
        if entry.key is not None and entry.kind in _ENDINGS and entry.key not in self.open_since:
            body = entry.body
            if body["outcome"] != "accepted" or body["action"] in FLAGS:
                self.steps.pop(entry.key, None)

    def open(self) -> Iterator[tuple[float, Step]]:
        """Yield the selected steps without an outcome, each after the time when it was begun."""
        for key, moment in self.open_since.items():
            if self._wants(key, {}):
                yield moment, self.steps[key]


def _text(entry: Entry, selected: _StepFilter, paint: Paint) -> str | None:
    if entry.kind in ("intent", "delivery"):
        return None
    if entry.kind not in _ENDINGS:
        return entry_text(entry, paint)
    step = selected.steps.get(str(entry.key))
    return bare_text(entry, paint) if step is None else step_text(entry.time, step, entry.body, paint)


def _json(entry: Entry, *, readable: bool = True) -> str:
    """Return an entry as a line of JSON. For an entry that cannot be read, ``body`` is the stored text."""
    data = {"seq": entry.seq, "time": entry.time, "kind": entry.kind, "key": entry.key, "hash": entry.hash}
    return json.dumps({**data, "body": entry.body if readable else str(entry.text)}, separators=(",", ":"))


def _since(text: str | None) -> float:
    if text is None:
        return float("-inf")
    ago = _AGO.fullmatch(text)
    seconds = time.time() - int(ago[1]) * _SECONDS[ago[2]] if ago else epoch_seconds(text)
    if seconds is None:
        raise CommandError(
            f"spyderresp journal: error: `{safe(text)}` is not a time; write 2026-11-24T01:02:03Z, or 30m, 12h, 7d"
        )
    return seconds


def _verify(args: argparse.Namespace, streams: Streams) -> int:
    result = verify(args.path, expect=args.expect, archived=args.archived)
    if args.format == "json":
        data = {
            "version": 1,
            "ok": result.ok,
            "entries": result.entries,
            "segments": result.segments,
            "head": {"seq": result.head[0], "digest": result.head[1]},
            "problems": result.problems,
            "notes": result.notes,
        }
        streams.write(json.dumps(data, indent=2))
        return 0 if result.ok else 1
    paint = streams.paint()
    for problem in result.problems:
        streams.write(f"{safe(args.path)}: {paint('red', 'error')}: {safe(problem)}")
    for note in result.notes:
        streams.write(f"{safe(args.path)}: {paint('blue', 'note')}: {safe(note)}")
    if result.ok:
        older = f", with {plural(result.segments, 'older segment')}" if result.segments else ""
        streams.write(f"{safe(args.path)}: nothing altered in {plural(result.entries, 'entry')}{older}")
        streams.write(f"digest of entry {result.head[0]}, for a later `--expect`: {result.head[1]}")
    return 0 if result.ok else 1
